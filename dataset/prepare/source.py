"""The arrays of a split's samples, from what was prepared of the dataset's files: nothing is decoded or resized."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataset.arrays import ArrayReader
from dataset.layout import Layout
from dataset.prepare.rows import ARRAYS, Row, Stamps, sample_rows
from dataset.prepare.store import Index, NotPrepared, Place, Store


class PreparedSource:
    """The very arrays that a `FileSource` of the same layout and samples gives.

    That every file still is what it was when it was prepared is checked once, here, by size and time.

    Args:
        layout, names, labelled, frames: as of `FileSource`.
        store: what was prepared.

    Raises:
        NotPrepared: Of a sample something is missing or has changed since, or the store is damaged.
    """

    def __init__(
        self, *, layout: Layout, names: Sequence[str], labelled: np.ndarray, frames: Sequence[int], store: Store
    ) -> None:
        self.layout = layout
        self.names = list(names)
        self.labelled = labelled
        self.frames = tuple(frames)
        self.store = store
        self.reader = ArrayReader(layout, width=store.width, height=store.height)
        parts = store.parts()
        self._parts = [part.folder for part in parts]
        self._places = self._find(Index(parts, Stamps(layout.root)))  # key -> [N,2], -1 where no file holds it
        self._arrays: dict[tuple[int, str], np.ndarray] = {}
        # Held and opened now, so that a run and its workers have them even if the files are replaced in the meantime.
        used = {part for places in self._places.values() for part in places[:, 0].tolist() if part >= 0}
        self._held = [parts[part].hold() for part in used]
        for key, places in self._places.items():
            for part in np.unique(places[places[:, 0] >= 0, 0]):
                for array in ARRAYS[_kind(key)]:
                    self._array(part, array)

    @property
    def maps(self) -> tuple[str, ...]:
        """The kinds of map that are loaded."""
        return self.layout.maps

    def load(self, index: int) -> dict[str, np.ndarray]:
        """Arrays as of `FileSource.load`. Frames are views of the files, not to be written to."""
        intrinsics = self._row("intrinsics", "intrinsics", index)
        if intrinsics is None:
            intrinsics = self.reader.intrinsics(self.layout.camera(self.names[index]))
        arrays = {"intrinsics": intrinsics}
        for offset in dict.fromkeys((0, *self.frames)):
            arrays[f"frame_{offset}"] = self._row(f"frame_{offset}", "frames", index)
        if "semseg" in self.maps:
            ids = self._row("semseg", "semseg", index)
            arrays["semseg"] = self.reader.no_labels() if ids is None else self.layout.labels.encode(ids)
        if "depth" in self.maps:
            depth = self._row("depth", "depth", index)
            arrays["depth"] = self.reader.no_depth() if depth is None else depth.copy()
        if "normals" in self.maps:
            for array in ARRAYS["normals"]:
                arrays[array] = self._row("normals", array, index).copy()
        if "edges" in self.maps:
            arrays["edges"] = self._row("edges", "edges", index).copy()
        return arrays

    def _find(self, index: Index) -> dict[str, np.ndarray]:
        places: dict[str, np.ndarray] = {}
        found: dict[Row, Place | None] = {}
        for number, name in enumerate(self.names):
            for key, row in sample_rows(self.layout, name, self.frames).items():
                if key == "semseg" and not self.labelled[number]:
                    continue
                if row not in found:
                    found[row] = index.find(row)
                if key not in places:
                    places[key] = np.full((len(self.names), 2), -1, np.int32)
                if found[row] is not None:
                    places[key][number] = found[row]
        missing = [row for row, place in found.items() if place is None]
        if missing:
            raise NotPrepared(
                f"{self.store.folder} lacks {len(missing)} of {len(found)} files of {self.layout.root} as they are "
                f"now, the first {index.difference(missing[0])}"
            )
        return places

    def _row(self, key: str, array: str, index: int) -> np.ndarray | None:
        """A view of what an array holds for a key of one sample; None where no file holds it."""
        if key not in self._places or self._places[key][index, 0] < 0:
            return None
        part, row = self._places[key][index]
        return self._array(part, array)[row]

    def _array(self, part: int, array: str) -> np.ndarray:
        if (part, array) not in self._arrays:
            self._arrays[part, array] = self.store.array(self._parts[part], array)
        return self._arrays[part, array]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: another process opens the arrays again, where they would be copied whole."""
        return {**self.__dict__, "_arrays": {}, "_held": []}


def _kind(key: str) -> str:
    """The kind of row under a key of a sample."""
    return "frames" if key.startswith("frame_") else key
