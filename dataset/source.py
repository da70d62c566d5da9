"""From the files of a sample to arrays at the config's size: decoding, resizing and units; nothing random."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset.layout import Camera, Layout
from dataset.reading import read_rgb
from dataset.transform import resize_edges, resize_nearest, resize_rgb
from utils.constants import IGNORE_INDEX
from utils.errors import UserError

ASPECT_TOLERANCE = 0.01  # between a map and an image that was resampled beforehand


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
        self.width = width
        self.height = height
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
        name = self.names[index]
        camera = self.layout.camera(name)
        arrays = {"intrinsics": camera.matrix(width=self.width, height=self.height)}
        image = read_rgb(self.layout.frame_path(name, 0) if self.frames else self.layout.image_path(name), name)
        arrays["frame_0"] = resize_rgb(image, width=self.width, height=self.height)
        for offset in self.frames:
            if offset:
                frame = read_rgb(self.layout.frame_path(name, offset), name)
                arrays[f"frame_{offset}"] = resize_rgb(frame, width=self.width, height=self.height)
        if "semseg" in self.maps:
            arrays["semseg"] = self._semseg(index, image.size)
        if "depth" in self.maps:
            arrays["depth"] = self._depth(name, image.size, camera)
        if "normals" in self.maps:
            arrays["normals"], arrays["normals_mask"] = self._normals(name, image.size)
        if "edges" in self.maps:
            path = self._path(name, "edges")
            stored = self._fitting(self.layout.read_edges(path, name), image.size, path, name)
            arrays["edges"] = resize_edges(stored, width=self.width, height=self.height)
        return arrays

    def _semseg(self, index: int, size: tuple[int, int]) -> np.ndarray:
        name = self.names[index]
        path = self.layout.map_path(name, "semseg")
        if path is None or not self.labelled[index]:
            return np.full((self.height, self.width), IGNORE_INDEX, np.uint8)
        stored = self._fitting(self.layout.read_semseg(path, name), size, path, name)
        # The lookups come after the resize: they are per pixel, and there are fewer pixels now.
        return self.layout.labels.encode(self.layout.semseg_ids(self._resized(stored)))

    def _depth(self, name: str, size: tuple[int, int], camera: Camera) -> np.ndarray:
        path = self.layout.map_path(name, "depth")
        if path is None:
            return np.zeros((self.height, self.width), np.float32)
        stored = self._fitting(self.layout.read_depth(path, name), size, path, name)
        depth = self.layout.metres(self._resized(stored), camera, name)
        np.fmax(depth, 0, out=depth)  # 0 for what is negative and, unlike np.maximum, for NaN
        if depth.max() == np.inf:
            depth[depth == np.inf] = 0
        return depth

    def _normals(self, name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        path = self._path(name, "normals")
        stored = self._fitting(self.layout.read_normals(path, name), size, path, name)
        return self.layout.unit_normals(self._resized(stored))

    def _path(self, name: str, kind: str) -> Path:
        path = self.layout.map_path(name, kind)
        if path is None:
            raise UserError(f"{self.layout.root}: holds no {kind} of sample {name}")
        return path

    def _resized(self, stored: np.ndarray) -> np.ndarray:
        return resize_nearest(stored, width=self.width, height=self.height)

    def _fitting(self, stored: np.ndarray, size: tuple[int, int], path: Path, name: str) -> np.ndarray:
        """`stored`, which shows the same view as an image of `size` (width, height).

        Raises:
            UserError: It does not.
        """
        (width, height), (image_width, image_height) = stored.shape[1::-1], size
        if self.layout.images_are_resampled:
            across, down = width * image_height, height * image_width
            fits = abs(across - down) <= ASPECT_TOLERANCE * down
        else:
            fits = (width, height) == size
        if not fits:
            raise UserError(
                f"{path}: {width}x{height} pixels, but the image of sample {name} has {image_width}x{image_height}; "
                "they must show the same pixels, unpack both from the same release of the dataset"
            )
        return stored
