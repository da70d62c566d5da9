"""The arrays of a split's samples at the training size, from the dataset's files or from what was prepared of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataset.files import DatasetFiles, Item, array_type
from dataset.labels import LabelSet
from dataset.maps import map_kind
from dataset.prepare.store import PreparedStore

MAX_MAPPED = 16384  # prepared arrays kept mapped, as mapping anew costs page faults; Linux allows a process 65,530


@dataclass(eq=False, kw_only=True)
class FileSource:
    """The samples of a split.

    Args:
        files: the dataset on disk.
        labels: the label set its ids are encoded to.
        names: the samples.
        labelled: bool [N], false for samples whose labels are not to be used (or do not exist).
        width, height: size of the arrays.
        frames: offsets of the video frames to load; the sample itself is always loaded.
        prepared: where the arrays are read from instead of being decoded.

    Raises:
        NotPrepared: `prepared` lacks an array of the files as they are now.
    """

    files: DatasetFiles
    labels: LabelSet
    names: list[str]
    labelled: np.ndarray
    width: int
    height: int
    frames: tuple[int, ...]
    prepared: PreparedStore | None
    _kept: dict[int, dict[str, np.ndarray]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.maps = self.files.maps
        if self.prepared is not None:
            self.prepared.require(item for index in range(len(self.names)) for item in self.items(index).values())

    def items(self, index: int) -> dict[str, Item]:
        """What a sample is made of, by the key of its array."""
        return self.files.items(self.names[index], self.frames, labelled=bool(self.labelled[index]))

    def load(self, index: int) -> dict[str, np.ndarray]:
        """Arrays of the whole resized image, H = height, W = width; not to be written to.

        Returns:
            `intrinsics` float64 [3,3]; `frame_<o>` uint8 [H,W,3] RGB; and of the kinds loaded: `semseg` uint8 [H,W]
            train ids, `depth` float32 [H,W] metres with 0 where none is known, `normals` float32 [3,H,W] with 0 where
            invalid, any other uint8 [H,W].

        Raises:
            UserError: A file is missing, truncated, or of another size than the image.
        """
        arrays = dict(self._stored(index))
        if "semseg" in arrays:
            arrays["semseg"] = self.labels.encode(arrays["semseg"])
        for kind in self.maps:
            if kind not in arrays:
                dtype, shape = array_type(kind, width=self.width, height=self.height)
                arrays[kind] = np.full(shape, map_kind(kind).nothing, dtype)
        return arrays

    def _stored(self, index: int) -> dict[str, np.ndarray]:
        """What the sample's files hold, and `intrinsics`."""
        if index in self._kept:
            return self._kept[index]
        items = self.items(index)
        if self.prepared is None:
            arrays = self.files.read(items, width=self.width, height=self.height)
        else:
            arrays = {key: self.prepared.read(item) for key, item in items.items()}
        arrays["intrinsics"] = self.files.camera(self.names[index]).matrix(width=self.width, height=self.height)
        if self.prepared is not None and (len(self._kept) + 1) * len(items) <= MAX_MAPPED:
            self._kept[index] = arrays
        return arrays

    def __getstate__(self) -> dict[str, Any]:
        """Without what is mapped, which would be copied."""
        return {**self.__dict__, "_kept": {}}
