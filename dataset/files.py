"""A dataset on disk: where a sample's files are, and how each becomes one array of the training size."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dataset.labels import byte_ids
from dataset.maps import map_kind
from dataset.reading import image_size, read_ids, read_rgb, read_uint16
from dataset.resize import resize_edges, resize_nearest, resize_rgb
from utils.errors import UserError

ASPECT_TOLERANCE = 0.01  # between a map and an image that was resampled beforehand


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


@dataclass(frozen=True)
class Item:
    """One array of a sample, and what it is made of.

    Args:
        kind: "image", or that of the map.
        name: the sample.
        files: the file that is decoded, then those its values also depend on: a map's image, whose size it must have,
            and the camera of depth.
    """

    kind: str
    name: str
    files: tuple[Path, ...]


def array_type(kind: str, *, width: int, height: int) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of an item's array: RGB, or a map (`dataset/maps.py`; of segmentation, the dataset's ids)."""
    if kind == "image":
        return np.dtype(np.uint8), (height, width, 3)
    stored = map_kind(kind)
    return np.dtype(stored.dtype), (*stored.channels, height, width)


@dataclass(frozen=True)
class View:
    """Resizes the maps of a sample, which must show what its image shows.

    Args:
        name: the sample.
        width, height: size of the arrays.
        stored: (width, height) of the image as stored.
        resampled: whether the image may have been shrunk beforehand; else maps have its very size.
    """

    name: str
    width: int
    height: int
    stored: tuple[int, int]
    resampled: bool

    def nearest(self, values: np.ndarray, path: Path) -> np.ndarray:
        """[H,W] or [H,W,C] of the values of a file, by nearest neighbour.

        Raises:
            UserError: They do not fit the image.
        """
        self._check(values, path)
        return resize_nearest(values, width=self.width, height=self.height)

    def edges(self, values: np.ndarray, path: Path) -> np.ndarray:
        """uint8 [H,W], 1 where any edge (> 0 in the file) falls into the pixel; raises what `nearest` does."""
        self._check(values, path)
        return resize_edges(values, width=self.width, height=self.height)

    def _check(self, values: np.ndarray, path: Path) -> None:
        (width, height), (image_width, image_height) = values.shape[1::-1], self.stored
        if self.resampled:
            across, down = width * image_height, height * image_width
            fits = abs(across - down) <= ASPECT_TOLERANCE * down
        else:
            fits = (width, height) == self.stored
        if not fits:
            raise UserError(
                f"{path}: {width}x{height} pixels, but the image of sample {self.name} has {image_width}x"
                f"{image_height}; they must show the same pixels, unpack both from the same release of the dataset"
            )


Reader = Callable[[Path, View], np.ndarray]


class DatasetFiles(ABC):
    """The folders and file formats of one dataset.

    A sample has a *name*, e.g. "train/aachen/aachen_000000_000019", however the dataset was unpacked.

    Args:
        root: the dataset's folder.
        maps: the kinds of map to be read, of `readers`; their folders must exist.
    """

    splits: tuple[str, ...] | None = None  # the names a split may have; None: whichever are on disk
    tree: str  # the files expected under the root, for messages
    images_are_resampled: bool = False  # whether images may be of another size than the maps

    def __init__(self, *, root: Path, maps: Sequence[str]) -> None:
        self.root = root
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

    # --- where the files are ---

    @abstractmethod
    def names(self, split: str, *, seed: int) -> list[str]:
        """The samples of a split ("train", "val", "all", or another the dataset has), sorted.

        Args:
            split: which.
            seed: seed of the shuffle that makes the split of a dataset without an official one.
        """

    @abstractmethod
    def image_path(self, name: str, offset: int = 0) -> Path:
        """The RGB image `offset` frames after a sample."""

    @abstractmethod
    def map_path(self, name: str, kind: str) -> Path | None:
        """A map of a sample; None for a frame that the dataset holds no labels or no depth of."""

    def readers(self) -> dict[str, Reader]:
        """What decodes each kind of map the dataset stores, to an array as described at `array_type`."""
        return {"semseg": self.semseg_ids, "depth": self.depth}

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

    def items(self, name: str, frames: Sequence[int], *, labelled: bool = True) -> dict[str, Item]:
        """The arrays of a sample: `frame_<o>` of each offset and 0, and its maps, without labels if not `labelled`."""
        image, camera = self.image_path(name), self.camera_path(name)
        items = {
            f"frame_{offset}": Item("image", name, (self.image_path(name, offset),))
            for offset in dict.fromkeys((0, *frames))
        }
        for kind in self.maps:
            path = self.map_path(name, kind) if labelled or kind != "semseg" else None
            if path is not None:
                cameras = (camera,) if kind == "depth" and camera is not None else ()
                items[kind] = Item(kind, name, (path, image, *cameras))
        return items

    # --- what is in them ---

    def read(self, items: Mapping[str, Item], *, width: int, height: int) -> dict[str, np.ndarray]:
        """The arrays of a sample's items, as described at `array_type`, each file decoded and resized once.

        Raises:
            UserError: A file is missing, truncated or of another size than the image.
        """
        readers = self.readers()
        stored: tuple[int, int] | None = None
        arrays = {}
        for key, item in items.items():
            path = item.files[0]
            if item.kind == "image":
                image = read_rgb(path, item.name)
                stored = stored or image.size  # frame 0 comes first
                arrays[key] = resize_rgb(image, width=width, height=height)
            else:
                stored = stored or image_size(item.files[1], item.name)
                view = View(item.name, width, height, stored, self.images_are_resampled)
                arrays[key] = readers[item.kind](path, view)
        return arrays

    def semseg_ids(self, path: Path, view: View) -> np.ndarray:
        """Dataset ids, uint8 [H,W]."""
        return byte_ids(view.nearest(read_ids(path, view.name), path))

    def depth(self, path: Path, view: View) -> np.ndarray:
        """Metres, float32 [H,W], 0 where none was measured.

        Here: of centimetres in the first of equal channels, as in both synthetic datasets.
        """
        # Arithmetic and lookups come after the resize: they are per pixel, and there are fewer pixels then.
        stored = view.nearest(read_uint16(path, view.name), path)
        centimetres = stored if stored.ndim == 2 else stored[..., 0]
        return np.divide(centimetres, np.float32(100), dtype=np.float32)


def measured(depth: np.ndarray) -> np.ndarray:
    """Depth float32 [h,w] with 0 for what is negative, infinite or no number."""
    _, depth = cv2.threshold(depth, 0, 0, cv2.THRESH_TOZERO)
    if not depth.max() < np.inf:
        depth[~(depth < np.inf)] = 0
    return depth
