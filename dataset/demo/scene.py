"""The demo world's scenes: `make_scene` builds one from a seed, `Scene.render` takes its picture."""

from collections.abc import Sequence

import numpy as np

from dataset.demo.indoor import INDOOR_CLASSES, build_indoor
from dataset.demo.outdoor import OUTDOOR_CLASSES, build_outdoor
from dataset.demo.rendering import Frame, Scene
from dataset.demo.style import STYLES

__all__ = ["INDOOR_CLASSES", "OUTDOOR_CLASSES", "Frame", "Scene", "make_scene"]


def make_scene(seed: int | Sequence[int], style: str = "source", *, outdoor: bool) -> Scene:
    """The scene that `seed` stands for: a street or a room, in one of the `STYLES`.

    Raises:
        ValueError: for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"style {style!r}: must be one of {', '.join(STYLES)}")
    rng = np.random.default_rng(seed)
    return build_outdoor(rng, STYLES[style]) if outdoor else build_indoor(rng, STYLES[style])
