"""The kinds of map that a dataset may store: their arrays, and what a sample makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.constants import IGNORE_INDEX

if TYPE_CHECKING:  # it loads PyTorch, which those who write files do not need
    from dataset.transform import SampleTransform

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class MapKind:
    """One kind of map.

    Attributes:
        dtype: of its array [*channels, H, W].
        channels: the dimensions before H and W.
        nothing: fills the array of a sample without the map.
        cut: the entries of a sample, from the kind's name, its array and the sample's crop and flip.
    """

    dtype: type[np.generic]
    channels: tuple[int, ...]
    nothing: int
    cut: Callable[[str, np.ndarray, SampleTransform], Arrays]


def _labels(kind: str, stored: np.ndarray, transform: SampleTransform) -> Arrays:
    return {kind: transform.map(stored).astype(np.int64)}


def _depth(kind: str, stored: np.ndarray, transform: SampleTransform) -> Arrays:
    depth = transform.map(stored)[None]
    return {kind: depth, f"{kind}_mask": depth > 0}


def _normals(kind: str, stored: np.ndarray, transform: SampleTransform) -> Arrays:
    normals = transform.normals(stored)
    return {kind: normals, f"{kind}_mask": (normals != 0).any(axis=0, keepdims=True)}


_LABELS = MapKind(np.uint8, (), IGNORE_INDEX, _labels)
_MEASURED = {
    "depth": MapKind(np.float32, (), 0, _depth),  # metres, 0 where unknown
    "normals": MapKind(np.float32, (3,), 0, _normals),  # unit vectors, 0 where invalid
}


def map_kind(name: str) -> MapKind:
    """What maps of a name are: labels of pixels, unless they are measured."""
    return _MEASURED.get(name, _LABELS)
