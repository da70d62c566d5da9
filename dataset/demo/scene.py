"""The demo world's scenes: `make_scene` builds one from a seed, `Scene.render` takes its picture."""

from collections.abc import Sequence

import numpy as np

from dataset.demo.indoor import build_indoor
from dataset.demo.outdoor import build_outdoor
from dataset.demo.rendering import Scene
from dataset.demo.style import STYLES


def make_scene(seed: int | Sequence[int], style: str = "source", *, outdoor: bool) -> Scene:
    """The scene that `seed` stands for: a street or a room, in one of the `STYLES`."""
    build = build_outdoor if outdoor else build_indoor
    return build(np.random.default_rng(seed), STYLES[style])
