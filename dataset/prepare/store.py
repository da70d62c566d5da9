"""The prepared arrays of one dataset at one size: one .npy file each, named by what it was made of."""

import hashlib
import io
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from dataset.files import Item, array_type
from utils.errors import UserError
from utils.files import write_atomically

FORMAT = 2  # to be raised whenever the same files would give other values


class NotPrepared(UserError):
    """Prepared arrays that are missing, stale or damaged; preparing again mends it."""


@dataclass(eq=False, kw_only=True)
class PreparedStore:
    """Prepared arrays of one dataset at one size.

    Sizes and times of the dataset's files are looked up once, so a run goes on with the arrays it started with.

    Args:
        folder: where they are.
        root: the dataset's folder.
        width, height: of the arrays.
    """

    folder: Path
    root: Path
    width: int
    height: int
    _stamps: dict[Path, tuple[str, int, int]] = field(default_factory=dict, init=False)

    def path(self, item: Item) -> Path:
        """Where the array of an item is, or goes."""
        stamps = [self._stamp(file) for file in item.files]
        stamp = hashlib.blake2b(repr((FORMAT, stamps)).encode(), digest_size=8).hexdigest()
        return self.folder / item.kind / f"{stamps[0][0]}.{stamp}.npy"

    def _stamp(self, file: Path) -> tuple[str, int, int]:
        if file not in self._stamps:
            self._stamps[file] = (file.relative_to(self.root).as_posix(), *size_and_time(file))
        return self._stamps[file]

    def n_bytes(self, item: Item) -> int:
        """Size of an item's file."""
        dtype, shape = array_type(item.kind, width=self.width, height=self.height)
        return len(_header(dtype, shape)) + dtype.itemsize * math.prod(shape)

    def has(self, item: Item) -> bool:
        """Whether the array of an item is there, made of the files as they are now, and whole."""
        try:
            return os.stat(self.path(item)).st_size == self.n_bytes(item)
        except OSError:
            return False

    def require(self, items: Iterable[Item]) -> None:
        """
        Raises:
            NotPrepared: An array is not there.
        """
        needed = {self.path(item): item for item in items}
        missing = [item for item in needed.values() if not self.has(item)]
        if missing:
            first = missing[0]
            raise NotPrepared(
                f"{self.folder} lacks {len(missing)} of {len(needed)} arrays of {self.root}, the first that of "
                f"{first.files[0]} ({first.kind} of sample {first.name}): it was never prepared, is not whole, or a "
                "file it is made of has changed since"
            )

    def read(self, item: Item) -> np.ndarray:
        """The array of an item, mapped into memory and not to be written to.

        Raises:
            NotPrepared: It is missing or damaged.
        """
        path = self.path(item)
        dtype, shape = array_type(item.kind, width=self.width, height=self.height)
        header = _header(dtype, shape)
        try:
            with open(path, "rb") as file:
                if file.read(len(header)) != header:
                    raise ValueError(f"it is no array {dtype} {list(shape)}")
                return np.asarray(np.memmap(file, dtype, mode="r", offset=len(header), shape=shape))
        except (OSError, ValueError) as error:
            raise NotPrepared(
                f"{path}: missing or damaged ({error}); remove it if it is there, and run `python -m dataset.prepare` "
                "with this experiment's options again"
            ) from error

    def write(self, item: Item, array: np.ndarray) -> None:
        """Write the array of an item, whole or not at all.

        Raises:
            UserError: It cannot be written, because the disk is full, for example.
        """
        path = self.path(item)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path.parent}: cannot be created ({error.strerror}); choose a writable folder with data.prepared"
            ) from error
        write_atomically(path, lambda file: file.write(_header(array.dtype, array.shape) + array.tobytes()))


def size_and_time(file: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds; (-1, -1) of a file that is not there."""
    try:
        status = os.stat(file)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


@cache
def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The first bytes of a .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
