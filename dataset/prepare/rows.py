"""The rows of prepared arrays: which of them a sample needs, of which files, and what is in them."""

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataset.arrays import ArrayReader
from dataset.labels import byte_ids
from dataset.layout import Layout
from dataset.reading import image_size

# The arrays that hold the rows of a kind.
ARRAYS = {
    "frames": ("frames",),
    "semseg": ("semseg",),
    "depth": ("depth",),
    "normals": ("normals", "normals_mask"),
    "edges": ("edges",),
    "intrinsics": ("intrinsics",),
}

Stamp = tuple[int, int]  # size in bytes and time of the last change in nanoseconds
PRINT_BLOCK = 4096  # bytes at the beginning, in the middle and at the end of a file that make its fingerprint


@dataclass(frozen=True)
class Row:
    """What is prepared of one file.

    Args:
        kind: one of `ARRAYS`.
        files: what it is made of, relative to the dataset's folder; of a map the image that it must have the size of
            is one.
        name: a sample that needs it; one of several may, so it does not tell rows apart.
    """

    kind: str
    files: tuple[str, ...]
    name: str = field(compare=False, default="")


def array_type(array: str, *, width: int, height: int) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of one row of an array."""
    size = (height, width)
    dtype, shape = {
        "frames": (np.uint8, (*size, 3)),
        "semseg": (np.uint8, size),
        "depth": (np.float32, size),
        "normals": (np.float32, (3, *size)),
        "normals_mask": (np.bool_, size),
        "edges": (np.uint8, size),
        "intrinsics": (np.float64, (3, 3)),
    }[array]
    return np.dtype(dtype), shape


def array_lengths(places: Iterable[tuple[str, int]]) -> dict[str, int]:
    """How many rows each array must have that holds rows of these kinds at these positions; others are left out."""
    lengths: dict[str, int] = {}
    for kind, number in places:
        for array in ARRAYS[kind]:
            lengths[array] = max(lengths.get(array, 0), number + 1)
    return lengths


def sample_rows(layout: Layout, name: str, frames: Sequence[int]) -> dict[str, Row]:
    """The rows of one sample, by their key in `Source.load`; none for what no file holds."""

    def row(kind: str, *paths: Path) -> Row:
        return Row(kind, tuple(path.relative_to(layout.root).as_posix() for path in paths), name)

    camera = layout.camera_path(name)
    cameras = () if camera is None else (camera,)
    image = layout.frame_path(name, 0)
    rows = {f"frame_{offset}": row("frames", layout.frame_path(name, offset)) for offset in dict.fromkeys((0, *frames))}
    for kind in layout.maps:
        path = layout.map_path(name, kind)
        if path is not None:
            rows[kind] = row(kind, path, image, *(cameras if kind == "depth" else ()))
    if cameras:
        rows["intrinsics"] = row("intrinsics", *cameras)
    return rows


def read_row(reader: ArrayReader, row: Row) -> tuple[np.ndarray, ...]:
    """What the row holds, for each array of its kind.

    Raises:
        UserError: A file is missing, truncated or does not fit the sample's image.
    """
    layout, name = reader.layout, row.name
    path = layout.root / row.files[0]
    if row.kind == "frames":
        return (reader.frame(path, name)[0],)
    if row.kind == "intrinsics":
        return (reader.intrinsics(layout.camera(name)),)
    size = image_size(layout.frame_path(name, 0), name)
    if row.kind == "semseg":
        return (byte_ids(reader.semseg_ids(path, name, size)),)
    if row.kind == "depth":
        return (reader.depth(path, name, size, layout.camera(name)),)
    if row.kind == "normals":
        return reader.normals(path, name, size)
    return (reader.edges(path, name, size),)


class Stamps:
    """Size and time of the files of a dataset, and their fingerprints, each looked up once.

    Args:
        root: the dataset's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root.resolve())
        self._known: dict[str, Stamp | None] = {}
        self._prints: dict[str, int | None] = {}

    def of(self, row: Row) -> tuple[Stamp | None, ...]:
        """Of each of the row's files; None for one that is not there."""
        return tuple(self._of(file) for file in row.files)

    def prints(self, row: Row) -> tuple[int | None, ...]:
        """Fingerprint of each of the row's files; None for one that cannot be read."""
        return tuple(self._print(file) for file in row.files)

    def _of(self, file: str) -> Stamp | None:
        if file not in self._known:
            try:
                status = os.stat(f"{self.root}/{file}")
            except OSError:
                self._known[file] = None
            else:
                self._known[file] = (status.st_size, status.st_mtime_ns)
        return self._known[file]

    def _print(self, file: str) -> int | None:
        if file not in self._prints:
            try:
                self._prints[file] = _fingerprint(f"{self.root}/{file}")
            except OSError:
                self._prints[file] = None
        return self._prints[file]


def _fingerprint(path: str) -> int:
    """Checksum of some blocks of a file: tells other files of the same name, size and time from it."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        checksum = 0
        for begin in (0, (size - PRINT_BLOCK) // 2, size - PRINT_BLOCK):
            file.seek(max(0, begin))
            checksum = zlib.crc32(file.read(PRINT_BLOCK), checksum)
    return checksum
