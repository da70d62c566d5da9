"""The folder of prepared arrays of one dataset at one size: its parts, what they hold, and the lock of who writes."""

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from dataset.prepare.rows import Row, Stamp, Stamps, array_lengths, array_type
from utils.console import LOGGER
from utils.errors import UserError

FORMAT = 1  # to be raised whenever a row of the same files would hold other values
MANIFEST = "manifest.json"
_PART = re.compile(r"part-\d{4,}")
_DISCARDED = ".discarded-"  # how folders begin whose contents nobody needs

Place = tuple[int, int]  # of a row: position of its part in `Store.parts()`, row of the part's arrays


class NotPrepared(UserError):
    """Prepared data that is missing, stale, damaged or of something else; preparing again mends it."""


class Store:
    """Prepared arrays of one dataset at one size.

    Args:
        base: the folder of `data.prepared`.
        dataset, width, height: whose arrays and how large.
    """

    def __init__(self, base: Path, *, dataset: str, width: int, height: int) -> None:
        self.folder = base / f"{dataset}_{width}x{height}"
        self.width = width
        self.height = height
        self.header = {"format": FORMAT, "dataset": dataset, "width": width, "height": height}

    def folders(self) -> list[Path]:
        """The parts' folders, the newest first."""
        if not self.folder.is_dir():
            return []
        parts = [path for path in self.folder.iterdir() if _PART.fullmatch(path.name)]
        return sorted(parts, key=lambda path: int(path.name.partition("-")[2]), reverse=True)

    def parts(self) -> list["Part"]:
        """All parts, the newest first.

        Raises:
            NotPrepared: One of them is damaged or holds something else.
        """
        return [Part(folder, self) for folder in self.folders()]

    def sound_parts(self) -> list["Part"]:
        """The parts that can be used, the newest first."""
        parts = []
        for folder in self.folders():
            try:
                parts.append(Part(folder, self))
            except NotPrepared:
                continue
        return parts

    def next_folder(self) -> Path:
        """Where the next part goes."""
        last = next((int(path.name.partition("-")[2]) for path in self.folders()), 0)
        return self.folder / f"part-{last + 1:04d}"

    def array(self, part: Path, name: str) -> np.ndarray:
        """An array of a part, mapped into memory and not to be written to.

        Raises:
            NotPrepared: It is missing, truncated or of another shape.
        """
        path = part / f"{name}.npy"
        dtype, shape = array_type(name, width=self.width, height=self.height)
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except (
            Exception
        ) as error:  # NumPy reads the header as Python: a damaged one raises what Python's tokenizer does
            raise NotPrepared(f"{path}: missing or damaged ({error})") from error
        if array.dtype != dtype or array.shape[1:] != shape:
            raise NotPrepared(f"{path}: damaged, it holds {array.dtype} {array.shape}, rows are {dtype} {shape}")
        return np.asarray(array)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps others from writing; the system lets go of the lock when the process ends, however it does.

        Raises:
            UserError: Somebody else is writing, or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / ".lock", "a")
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be created ({error.strerror}); choose a writable folder with data.prepared"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{self.folder}: another `python -m dataset.prepare` is writing there; wait until it is done"
                ) from error
            except OSError as error:
                raise UserError(
                    f"{self.folder}: cannot be locked ({error.strerror}); set data.prepared to a folder on another disk"
                ) from error
            yield

    def tidy(self) -> None:
        """Remove parts that are damaged, and those of which newer parts hold every file of the same dataset folder.

        Parts that a run has open stay until a later call.
        """
        sound = {part.folder: part for part in self.sound_parts()}
        covered: set[tuple[str, Row]] = set()
        for folder in self.folders():
            rows = {(sound[folder].root, row) for row in sound[folder].rows} if folder in sound else set()
            if rows <= covered and not _is_held(folder):
                self._discard(folder)
            covered |= rows
        for folder in self.folder.glob(f"{_DISCARDED}*"):
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                LOGGER.warning("%s: no longer needed, but cannot be removed; remove it yourself", folder)

    def _discard(self, folder: Path) -> None:
        # Moved first: a part that is half removed would be a damaged one.
        try:
            os.replace(folder, tempfile.mkdtemp(prefix=_DISCARDED, dir=self.folder))
        except OSError as error:
            LOGGER.warning("%s: no longer needed, but cannot be moved away (%s)", folder, error.strerror)


def _is_held(folder: Path) -> bool:
    """Whether a run has a part open (`Part.hold`)."""
    try:
        with open(folder / MANIFEST, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # without a manifest or without locks nobody holds it
        return False
    return False


@dataclass(frozen=True)
class Stored:
    """Where a row is in the arrays of a part, and what its files were: stamps and fingerprints."""

    number: int
    stamps: tuple[Stamp, ...]
    prints: tuple[int, ...]


class Part:
    """One complete set of arrays.

    Attributes:
        folder: where it is.
        root: the folder of the dataset it was made of, at that time.
        rows: what it holds.

    Raises:
        NotPrepared: It is damaged, or holds something else than its store.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        path = folder / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found = {key: manifest[key] for key in store.header}
            if found != store.header:
                raise NotPrepared(f"{path}: is of {_told(found)}, needed is {_told(store.header)}")
            self.root: str = manifest["root"]
            self.rows = dict(_listed(manifest["rows"]))
            lengths = array_lengths((row.kind, stored.number) for row, stored in self.rows.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotPrepared(f"{path}: missing or damaged ({error!r})") from error
        for array, length in lengths.items():
            if len(store.array(folder, array)) < length:
                raise NotPrepared(f"{folder / array}.npy: damaged, it has fewer rows than {path} lists")

    def hold(self) -> IO[bytes]:
        """Keeps `Store.tidy` from removing the part as long as the file that is returned is open.

        Raises:
            NotPrepared: The part is no longer there.
        """
        try:
            file = open(self.folder / MANIFEST, "rb")
        except OSError as error:
            raise NotPrepared(f"{self.folder / MANIFEST}: missing ({error})") from error
        with suppress(OSError):  # a file system without locks; open arrays stay readable there all the same
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return file


def _listed(rows: dict[str, list[list[Any]]]) -> Iterator[tuple[Row, Stored]]:
    """Rows of a manifest: `{kind: [[number, [file, size, time, fingerprint], ...], ...]}`."""
    for kind, entries in rows.items():
        for number, *files in entries:
            names, sizes, times, prints = zip(*files, strict=True)
            yield Row(kind, names), Stored(number, tuple(zip(sizes, times, strict=True)), prints)


def _told(header: dict[str, Any]) -> str:
    return "{dataset} at {width}x{height}, format {format}".format(**header)


class Index:
    """Finds rows in parts.

    Args:
        parts: where to look.
        stamps: of the files as they are now.
    """

    def __init__(self, parts: Sequence[Part], stamps: Stamps) -> None:
        self.parts = parts
        self.stamps = stamps

    def find(self, row: Row) -> Place | None:
        """Where a row is that was made of the very files there are now.

        Of another folder, such as one the dataset was copied from, size and time may be those of other files.
        """
        now = self.stamps.of(row)
        for position, part in enumerate(self.parts):
            stored = part.rows.get(row)
            if stored is None or stored.stamps != now:
                continue
            if part.root == self.stamps.root or stored.prints == self.stamps.prints(row):
                return position, stored.number
        return None

    def difference(self, row: Row) -> str:
        """Which file of a row that was not found is not as it was, and how."""
        part = next((part for part in self.parts if row in part.rows), None)
        if part is None:
            return f"{row.files[0]}, which is not prepared ({row.kind} of sample {row.name})"
        stored = part.rows[row]
        for file, then, now in zip(row.files, stored.stamps, self.stamps.of(row), strict=True):
            if now is None:
                return f"{file}, which is no longer there"
            if then != now:
                return f"{file}, which was written to since ({then[0]} bytes then, {now[0]} now)"
        pairs = zip(row.files, stored.prints, self.stamps.prints(row), strict=True)
        file = next(file for file, then, now in pairs if then != now)
        return f"{file}, which is another than that of the same size and time in {part.root}"
