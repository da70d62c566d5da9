"""NYU Depth v2 on disk, as multi-task learning uses it: 40 classes, metric depth, normals and edges of rooms."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dataset.files import Camera, DatasetFiles, Reader, View, measured
from dataset.reading import read_array, read_bgr, read_unchanged
from utils.errors import UserError

# Holds for the whole picture; the pack with 560x425 pixels shows the same view.
CAMERA = Camera(fx=518.857901, fy=519.469611, u0=325.582449, v0=253.736166, width=640, height=480)

# Kind -> (folder, the suffixes of the packs in circulation)
_FILES = {
    "image": ("images", (".png", ".jpg")),
    "semseg": ("segmentation", (".png",)),
    "depth": ("depth", (".npy",)),
    "normals": ("normals", (".png", ".npy")),
    "edges": ("edge", (".png", ".npy")),
}


class NYUDv2(DatasetFiles):
    """NYU Depth v2. A sample is named as in the lists of the splits."""

    tree = (
        "gt_sets/{train,val}.txt (names without suffix), images/ (.png or .jpg), segmentation/*.png, depth/*.npy, "
        "normals/ (.png or .npy) and edge/ (.png or .npy)"
    )

    def __init__(self, *, root: Path, maps: Sequence[str]) -> None:
        super().__init__(root=root, maps=maps)
        self._folders = {kind: self._require(_FILES[kind][0]) for kind in ("image", *self.maps)}
        # That of the files in this pack; the first, for the messages about missing files, where there is none.
        self._suffixes = {
            kind: next((suffix for suffix in _FILES[kind][1] if any(folder.glob(f"*{suffix}"))), _FILES[kind][1][0])
            for kind, folder in self._folders.items()
        }

    def names(self, split: str, *, seed: int) -> list[str]:
        names: list[str] = []
        for part in ("train", "val") if split == "all" else (split,):
            path = self._require(f"gt_sets/{part}.txt")
            try:
                names += path.read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{path}: cannot be read as a list of names ({error}); unpack it again") from error
        return sorted(names)

    def image_path(self, name: str, offset: int = 0) -> Path:
        return self.map_path(name, "image")

    def map_path(self, name: str, kind: str) -> Path:
        return self._folders[kind] / f"{name}{self._suffixes[kind]}"

    def camera(self, name: str) -> Camera:
        return CAMERA

    def depth(self, path: Path, view: View) -> np.ndarray:
        stored = view.nearest(_numbers(path, view.name, channels=1), path)
        return measured(stored.astype(np.float32, copy=False))

    def readers(self) -> dict[str, Reader]:
        return super().readers() | {"normals": self.normals, "edges": self.edges}

    def normals(self, path: Path, view: View) -> np.ndarray:
        """Unit normals, x right, y down, z towards the camera.

        Pixels of a .png are (n + 1) / 2 * 255; three equal values are the grey border without a normal.
        """
        if path.suffix == ".npy":
            stored = _numbers(path, view.name, channels=3)
        else:
            stored = cv2.cvtColor(read_bgr(path, view.name), cv2.COLOR_BGR2RGB)
        stored = view.nearest(stored, path)
        normals = np.empty((3, *stored.shape[:2]), np.float32)
        if stored.dtype == np.uint8:
            x, y, z = cv2.split(stored)
            for channel, plane in zip((x, y, z), normals, strict=True):
                np.subtract(channel, np.float32(127.5), out=plane)
            normals /= np.float32(127.5)
        else:
            np.copyto(normals, np.moveaxis(stored, 2, 0), casting="unsafe")
            x, y, z = normals
        valid = x != y
        valid |= y != z
        length = np.einsum("chw,chw->hw", normals, normals)
        np.sqrt(length, out=length)
        if not (length.min() > 0 and length.max() < np.inf):  # zeros, or no numbers
            unusable = ~((length > 0) & (length < np.inf))
            valid &= ~unusable
            normals[:, unusable] = 0
            length[unusable] = 1
        # Stored components are rounded to 8 bit, so the vectors are only nearly of unit length.
        np.reciprocal(length, out=length)
        length *= valid
        normals *= length
        return normals

    def edges(self, path: Path, view: View) -> np.ndarray:
        if path.suffix == ".npy":
            stored = _numbers(path, view.name, channels=1)
        else:
            stored = read_unchanged(path, view.name)
        return view.edges(stored if stored.ndim == 2 else stored.max(axis=2), path)


def _numbers(path: Path, name: str, *, channels: int) -> np.ndarray:
    """An array of numbers [H,W] or, for several channels, [H,W,channels].

    Raises:
        UserError: It is missing, truncated or something else.
    """
    array = read_array(path, name)
    fits = array.ndim == 2 if channels == 1 else array.ndim == 3 and array.shape[2] == channels
    if not fits or array.dtype.kind not in "biuf":
        shape = "[H,W]" if channels == 1 else f"[H,W,{channels}]"
        raise UserError(
            f"{path}: expected an array of numbers {shape}, found {array.dtype} {list(array.shape)}, needed for sample "
            f"{name}; unpack it again"
        )
    return array
