"""The arrays of a split's samples, from the dataset's files."""

from collections.abc import Sequence

import numpy as np

from dataset.arrays import ArrayReader
from dataset.layout import Layout


class FileSource:
    """The samples of a split, each file decoded once and resized once.

    Args:
        layout: where the files are and how they are coded.
        names: the samples.
        labelled: bool [N], false for samples whose labels are not to be used (or do not exist).
        width, height: size of the arrays.
        frames: offsets of the video frames to load; the sample itself is always loaded.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        names: Sequence[str],
        labelled: np.ndarray,
        width: int,
        height: int,
        frames: Sequence[int] = (0,),
    ) -> None:
        if len(labelled) != len(names):
            raise ValueError(f"labelled must have one value for each of the {len(names)} names, got {len(labelled)}")
        self.layout = layout
        self.names = list(names)
        self.labelled = labelled
        self.reader = ArrayReader(layout, width=width, height=height)
        self.frames = tuple(frames)

    @property
    def maps(self) -> tuple[str, ...]:
        """The kinds of map that are loaded."""
        return self.layout.maps

    def load(self, index: int) -> dict[str, np.ndarray]:
        """Arrays of the whole resized image, H = height, W = width.

        Returns:
            `intrinsics` float64 [3,3]; `frame_<o>` uint8 [H,W,3] RGB; and of the kinds loaded: `semseg` uint8 [H,W]
            train ids, `depth` float32 [H,W] metres with 0 where none is known, `normals` float32 [3,H,W] and
            `normals_mask` bool [H,W], `edges` uint8 [H,W].

        Raises:
            UserError: A file is missing, truncated, or of another size than the image.
        """
        name, layout, reader = self.names[index], self.layout, self.reader
        camera = layout.camera(name)
        arrays = {"intrinsics": reader.intrinsics(camera)}
        arrays["frame_0"], size = reader.frame(layout.frame_path(name, 0), name)
        for offset in self.frames:
            if offset:
                arrays[f"frame_{offset}"], _ = reader.frame(layout.frame_path(name, offset), name)
        if "semseg" in self.maps:
            path = layout.map_path(name, "semseg") if self.labelled[index] else None
            arrays["semseg"] = layout.labels.encode(reader.semseg_ids(path, name, size)) if path else reader.no_labels()
        if "depth" in self.maps:
            path = layout.map_path(name, "depth")
            arrays["depth"] = reader.depth(path, name, size, camera) if path else reader.no_depth()
        if "normals" in self.maps:
            path = layout.map_path(name, "normals")
            arrays["normals"], arrays["normals_mask"] = reader.normals(path, name, size)
        if "edges" in self.maps:
            arrays["edges"] = reader.edges(layout.map_path(name, "edges"), name, size)
        return arrays
