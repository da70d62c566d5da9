"""From one file of a sample to its array at the config's size: decoding, resizing and units; nothing random."""

from pathlib import Path

import numpy as np

from dataset.layout import Camera, Layout
from dataset.reading import read_rgb
from dataset.transform import resize_edges, resize_nearest, resize_rgb
from utils.constants import IGNORE_INDEX
from utils.errors import UserError

ASPECT_TOLERANCE = 0.01  # between a map and an image that was resampled beforehand


class ArrayReader:
    """Arrays of H = height, W = width, each from one decoding and one resize.

    Where `size` is asked for, it is (width, height) of the sample's image as stored: a map must show the same view.

    Args:
        layout: how the files are coded.
        width, height: size of the arrays.

    Every method raises UserError for a file that is missing, truncated or of another size than the image.
    """

    def __init__(self, layout: Layout, *, width: int, height: int) -> None:
        self.layout = layout
        self.width = width
        self.height = height

    def frame(self, path: Path, name: str) -> tuple[np.ndarray, tuple[int, int]]:
        """RGB uint8 [H,W,3] of an image, and the `size` it has as stored."""
        image = read_rgb(path, name)
        return resize_rgb(image, width=self.width, height=self.height), image.size

    def semseg_ids(self, path: Path, name: str, size: tuple[int, int]) -> np.ndarray:
        """Dataset ids [H,W] of some integer type; `LabelSet.encode` makes train ids of them."""
        stored = self._fitting(self.layout.read_semseg(path, name), size, path, name)
        # The lookups come after the resize: they are per pixel, and there are fewer pixels now.
        return self.layout.semseg_ids(self._resized(stored))

    def depth(self, path: Path, name: str, size: tuple[int, int], camera: Camera) -> np.ndarray:
        """Metres, float32 [H,W], 0 where none is known."""
        stored = self._fitting(self.layout.read_depth(path, name), size, path, name)
        return self.layout.metres(self._resized(stored), camera, name)

    def normals(self, path: Path, name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals, float32 [3,H,W], and bool [H,W] where they are valid."""
        stored = self._fitting(self.layout.read_normals(path, name), size, path, name)
        return self.layout.unit_normals(self._resized(stored))

    def edges(self, path: Path, name: str, size: tuple[int, int]) -> np.ndarray:
        """uint8 [H,W], 1 on an edge."""
        stored = self._fitting(self.layout.read_edges(path, name), size, path, name)
        return resize_edges(stored, width=self.width, height=self.height)

    def intrinsics(self, camera: Camera) -> np.ndarray:
        """float64 [3,3] of the resized image."""
        return camera.matrix(width=self.width, height=self.height)

    def no_labels(self) -> np.ndarray:
        """The train ids of a sample without labels, uint8 [H,W]."""
        return np.full((self.height, self.width), IGNORE_INDEX, np.uint8)

    def no_depth(self) -> np.ndarray:
        """The depth of a sample without any, float32 [H,W]."""
        return np.zeros((self.height, self.width), np.float32)

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
