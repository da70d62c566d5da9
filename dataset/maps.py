"""The kinds of map that a dataset may store: their arrays, and what a sample makes of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset.transform import SampleTransform
from utils.constants import IGNORE_INDEX

NewArray = Callable[[str, tuple[int, ...], type], np.ndarray]  # name, shape, type -> where the values go


@dataclass(frozen=True)
class MapKind:
    """One kind of map.

    Attributes:
        dtype: of its array [*channels, H, W].
        channels: the dimensions before H and W.
        nothing: fills the array of a sample without the map.
        add: adds the entries of a sample, from the kind's name, its array and the sample's crop and flip.
    """

    dtype: type[np.generic]
    channels: tuple[int, ...]
    nothing: int
    add: Callable[[str, np.ndarray, SampleTransform, NewArray], None]


def _labels(kind: str, stored: np.ndarray, transform: SampleTransform, new: NewArray) -> None:
    new(kind, (transform.height, transform.width), np.int64)[:] = transform.map(stored)


def _depth(kind: str, stored: np.ndarray, transform: SampleTransform, new: NewArray) -> None:
    depth = new(kind, (1, transform.height, transform.width), np.float32)
    depth[:] = transform.map(stored)
    np.greater(depth, 0, out=new(f"{kind}_mask", depth.shape, np.bool_))


def _normals(kind: str, stored: np.ndarray, transform: SampleTransform, new: NewArray) -> None:
    normals = new(kind, (3, transform.height, transform.width), np.float32)
    normals[:] = transform.normals(stored)
    np.any(normals, axis=0, keepdims=True, out=new(f"{kind}_mask", (1, *normals.shape[1:]), np.bool_))


_LABELS = MapKind(np.uint8, (), IGNORE_INDEX, _labels)
_MEASURED = {
    "depth": MapKind(np.float32, (), 0, _depth),  # metres, 0 where unknown
    "normals": MapKind(np.float32, (3,), 0, _normals),  # unit vectors, 0 where invalid
}


def map_kind(name: str) -> MapKind:
    """What maps of a name are: labels of pixels, unless they are measured."""
    return _MEASURED.get(name, _LABELS)
