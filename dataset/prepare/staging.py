"""Writing a part: beside its place, each row with a checksum in a journal, so that a run that is stopped loses nothing.

The system may write the pages of a file in any order, and a machine may fail at any time. What a stopped run left is
therefore taken over row by row where the row is what its checksum says, and the rest is forgotten.
"""

import io
import json
import math
import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from dataset.prepare.rows import ARRAYS, Row, Stamp, array_lengths, array_type
from dataset.prepare.store import MANIFEST, NotPrepared, Store
from utils.errors import UserError
from utils.files import write_atomically

PARTIAL = ".partial"
JOURNAL = "journal.jsonl"

Entry = list[Any]  # [kind, number, [checksum of each array], [file, size, time, fingerprint], ...]


class Staging:
    """A part that is being written. `write` may be called from several threads.

    The store must be locked and hold nothing unfinished (`take_over`).

    Args:
        store: where the part will be.
        root: the dataset's folder.
        counts: the number of rows of each kind.

    Raises:
        UserError: The folder cannot be written to.
    """

    def __init__(self, store: Store, root: Path, counts: Mapping[str, int]) -> None:
        self.store = store
        self.folder = store.folder / PARTIAL
        self._header = store.header | {"root": str(root.resolve())}
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._arrays: dict[str, _ArrayFile] = {}
        with _writing(self.folder):
            self.folder.mkdir()
            self._journal = _open(self.folder / JOURNAL, os.O_APPEND)
            _write_all(self._journal, _line(self._header))
            for kind, count in counts.items():
                for array in ARRAYS[kind]:
                    dtype, shape = array_type(array, width=store.width, height=store.height)
                    self._arrays[array] = _ArrayFile(self.folder / f"{array}.npy", dtype, (count, *shape))

    def write(
        self, row: Row, number: int, arrays: Sequence[np.ndarray], stamps: Sequence[Stamp], prints: Sequence[int]
    ) -> None:
        """Write what a row holds to position `number` of the arrays of its kind.

        Args:
            stamps, prints: of its files, when they were read.

        Raises:
            UserError: It cannot be written, because the disk is full, for example.
        """
        with _writing(self.folder):
            checksums = [
                self._arrays[name].write(number, array) for name, array in zip(ARRAYS[row.kind], arrays, strict=True)
            ]
            files = [[file, *stamp, mark] for file, stamp, mark in zip(row.files, stamps, prints, strict=True)]
            entry = [row.kind, number, checksums, *files]
            with self._lock:
                _write_all(self._journal, _line(entry))
                self._entries.append(entry)

    def publish(self) -> Path:
        """Move the part to its place; gives its folder."""
        return _publish(self.store, self._header, self._entries)

    def close(self) -> None:
        """Close all files."""
        for file in (self._journal, *(array.file for array in self._arrays.values())):
            os.close(file)


class _ArrayFile:
    """A .npy file of known size, written row by row."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        memory = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        self.begin = memory.offset
        self.dtype = dtype
        self.row_shape = shape[1:]
        self.file = _open(path)

    def write(self, number: int, values: np.ndarray) -> int:
        """Write one row; gives its checksum."""
        if values.dtype != self.dtype or values.shape != self.row_shape:
            raise ValueError(f"a row must be {self.dtype} {self.row_shape}, got {values.dtype} {values.shape}")
        values = np.ascontiguousarray(values)
        # Not through the memory map: a full disk would be a signal that kills the process instead of an error.
        _write_all(self.file, memoryview(values).cast("B"), at=self.begin + number * values.nbytes)
        return zlib.crc32(values)


def take_over(store: Store) -> int:
    """Make a part of the whole rows that a stopped run left; gives their number. The store must be locked.

    Raises:
        UserError: The folder cannot be written to.
    """
    folder = store.folder / PARTIAL
    if not folder.exists():
        return 0
    header, entries = _read_journal(store, folder)
    if entries:
        with _writing(folder):
            _cut_to(entries, folder)
        _publish(store, header, entries)
    else:
        with _writing(folder):
            shutil.rmtree(folder)
    return len(entries)


def _cut_to(entries: Sequence[Entry], folder: Path) -> None:
    """Shorten the arrays, which were made for more, to the last row that is there; remove those without any."""
    lengths = array_lengths((kind, number) for kind, number, *_ in entries)
    for path in folder.glob("*.npy"):
        if path.stem not in lengths:
            path.unlink()
            continue
        old = np.lib.format.open_memmap(path, mode="r")
        shape = (lengths[path.stem], *old.shape[1:])
        header = io.BytesIO()
        description = {"descr": np.lib.format.dtype_to_descr(old.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, description)
        if header.tell() == old.offset:  # NumPy leaves room for larger numbers
            with open(path, "r+b") as file:
                file.write(header.getvalue())
                file.truncate(old.offset + old.dtype.itemsize * math.prod(shape))


def _publish(store: Store, header: Mapping[str, Any], entries: Sequence[Entry]) -> Path:
    """Make sure that the staged arrays are on the disk, add the manifest, and move both to their place."""
    partial, folder = store.folder / PARTIAL, store.next_folder()
    rows: dict[str, list[list[Any]]] = {}
    for kind, number, _, *files in entries:
        rows.setdefault(kind, []).append([number, *files])
    with _writing(folder):
        for path in partial.glob("*.npy"):
            _synchronise(path)
        manifest = _line({**header, "rows": rows})
        write_atomically(partial / MANIFEST, lambda file: file.write(manifest))
        _synchronise(partial)
        os.replace(partial, folder)
        _synchronise(store.folder)
        (folder / JOURNAL).unlink()
    return folder


def _read_journal(store: Store, folder: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The header of a journal, and the entries whose rows are as they were written."""
    try:
        lines = (folder / JOURNAL).read_bytes().splitlines()
    except OSError:
        lines = []
    header, *entries = [_parsed(line) for line in lines] or [None]
    if not (isinstance(header, dict) and "root" in header and store.header.items() <= header.items()):
        return {}, []
    arrays: dict[str, np.ndarray] = {}
    for names in ARRAYS.values():
        for name in names:
            with suppress(NotPrepared):  # its rows are not sound, then
                arrays[name] = store.array(folder, name)
    return header, [entry for entry in entries if _is_sound(entry, arrays)]


def _is_sound(entry: Any, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether what an entry tells of is there."""
    try:
        kind, number, checksums, *_ = entry
        return all(
            zlib.crc32(arrays[name][number]) == checksum for name, checksum in zip(ARRAYS[kind], checksums, strict=True)
        )
    except (TypeError, ValueError, KeyError, IndexError):
        return False


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    """The value of a line; None for one that was not written whole."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)


def _write_all(file: int, data: bytes | memoryview, at: int | None = None) -> None:
    """Write all of `data`, at a position or at the end."""
    data = memoryview(data)
    while data:
        written = os.write(file, data) if at is None else os.pwrite(file, data, at)
        data = data[written:]
        at = None if at is None else at + written


def _synchronise(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tells the user about errors of the file system."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room or mend that, then run the same command again: "
            "it goes on where it stopped"
        ) from error
