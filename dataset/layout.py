"""What one dataset on disk must tell: where a sample's files are, how their values are coded, which camera took it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dataset.labels import LabelSet
from dataset.reading import read_ids, read_uint16
from utils.errors import UserError


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without skew.

    Args:
        fx, fy, u0, v0: focal lengths and principal point in pixels.
        width, height: size of the image they hold for.
        baseline: metres between the two cameras of a stereo pair; None where depth does not come from disparity.
    """

    fx: float
    fy: float
    u0: float
    v0: float
    width: int
    height: int
    baseline: float | None = None

    def matrix(self, *, width: int, height: int) -> np.ndarray:
        """Intrinsics [3,3] float64 of the image resized to another size."""
        x, y = width / self.width, height / self.height
        return np.array([[self.fx * x, 0, self.u0 * x], [0, self.fy * y, self.v0 * y], [0, 0, 1]])


class Layout(ABC):
    """The folders and file formats of one dataset.

    A sample has a *name*, e.g. "train/aachen/aachen_000000_000019", the same in every variant of the layout on disk.

    Args:
        root: the dataset's folder.
        labels: the label set its ids are encoded to.
        maps: the kinds of map to be read ("semseg", "depth", "normals", "edges"); their folders must exist.
    """

    stored_maps: tuple[str, ...] = ("semseg", "depth")
    splits: tuple[str, ...] | None = None  # the names a split may have; None: whichever are on disk
    tree: str  # the files expected under the root, for messages
    images_are_resampled: bool = False  # whether images may be of another size than the maps

    def __init__(self, *, root: Path, labels: LabelSet, maps: Sequence[str]) -> None:
        for kind in maps:
            if kind not in self.stored_maps:
                raise ValueError(f"{type(self).__name__} stores {', '.join(self.stored_maps)}, but no {kind}")
        self.root = root
        self.labels = labels
        self.maps = tuple(maps)
        self._require()

    def _require(self, *alternatives: str) -> Path:
        """The first of `alternatives` (folders or files under the root; none given: the root) that exists.

        Raises:
            UserError: None of them exists.
        """
        paths = [self.root / alternative for alternative in alternatives] or [self.root]
        for path in paths:
            if path.exists():
                return path
        missing = " or ".join(str(path) for path in paths)
        raise UserError(f"{missing}: no such file or folder. {type(self).__name__} is expected as {self.tree}")

    @abstractmethod
    def names(self, split: str, *, seed: int) -> list[str]:
        """The samples of a split ("train", "val", "all", or another the dataset has), sorted.

        Args:
            split: which.
            seed: seed of the shuffle that makes the split of a dataset without an official one.
        """

    @abstractmethod
    def image_path(self, name: str) -> Path:
        """The RGB image of a sample."""

    @abstractmethod
    def map_path(self, name: str, kind: str) -> Path | None:
        """A map of a sample; None for a frame that the dataset holds no labels or no depth of."""

    @abstractmethod
    def camera(self, name: str) -> Camera:
        """The camera that took a sample."""

    def camera_path(self, name: str) -> Path | None:
        """The file `camera` reads; None where it reads none."""
        return None

    def is_annotated(self, name: str) -> bool:
        """Whether a sample has labels."""
        return True

    def has_frames(self, name: str, offsets: Sequence[int]) -> bool:
        """Whether the frames at all `offsets` from a sample are on disk."""
        return not any(offsets)

    def frame_path(self, name: str, offset: int) -> Path:
        """The RGB image `offset` frames after a sample."""
        if offset:
            raise NotImplementedError(f"{type(self).__name__} has no video sequences")
        return self.image_path(name)

    def read_semseg(self, path: Path, name: str) -> np.ndarray:
        """The label file as stored, [H,W] or [H,W,C]."""
        return read_ids(path, name)

    def semseg_ids(self, stored: np.ndarray) -> np.ndarray:
        """Dataset ids [h,w] of a resized label file."""
        return stored

    def read_depth(self, path: Path, name: str) -> np.ndarray:
        """The depth file as stored, [H,W] or [H,W,C]."""
        return read_uint16(path, name)

    def metres(self, stored: np.ndarray, camera: Camera, name: str) -> np.ndarray:
        """Depth [h,w] float32 in metres of a resized depth file, 0 where none was measured.

        Here: centimetres in the first of equal channels, as in both synthetic datasets.
        """
        centimetres = stored if stored.ndim == 2 else stored[..., 0]
        return np.divide(centimetres, np.float32(100), dtype=np.float32)

    def read_normals(self, path: Path, name: str) -> np.ndarray:
        """The file of normals as stored, [H,W,3]."""
        raise NotImplementedError

    def unit_normals(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals [3,h,w] float32 (x right, y down, z towards the camera) and bool [h,w] where they are valid."""
        raise NotImplementedError

    def read_edges(self, path: Path, name: str) -> np.ndarray:
        """The edge map as stored, [H,W], an edge where it is greater than 0."""
        raise NotImplementedError


def measured(depth: np.ndarray) -> np.ndarray:
    """Depth float32 [h,w] with 0 for what is negative, infinite or no number."""
    _, depth = cv2.threshold(depth, 0, 0, cv2.THRESH_TOZERO)
    if not depth.max() < np.inf:
        depth[~(depth < np.inf)] = 0
    return depth
