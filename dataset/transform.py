"""Geometry of a sample: resize (`dataset/resize.py`), crop and horizontal flip of image, maps, intrinsics, in order."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from dataset.jitter import Jitter


def rgb_to_planes(rgb: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """float32 [3,H,W] in [0,1] of uint8 [H,W,3], in `out` where it is given."""
    planes = np.empty((3, *rgb.shape[:2]), np.float32) if out is None else out
    for channel, plane in zip(cv2.split(rgb), planes, strict=True):
        np.divide(channel, np.float32(255), out=plane)
    return planes


@dataclass(frozen=True)
class SampleTransform:
    """The crop, flip and jitter of one sample.

    Args:
        left, top: of the crop, in pixels of the resized image.
        width, height: of the crop, the size of the sample.
        flip: whether left and right are swapped after the crop.
        jitter: colour jitter of the network input, None for none.
    """

    left: int
    top: int
    width: int
    height: int
    flip: bool = False
    jitter: Jitter | None = None

    def rgb(self, rgb: np.ndarray) -> np.ndarray:
        """Crop and flip uint8 [H,W,3] to [height,width,3]."""
        return self.flipped(rgb[self.top : self.top + self.height, self.left : self.left + self.width])

    def flipped(self, rgb: np.ndarray) -> np.ndarray:
        """Flip uint8 [H,W,3] of any size as the crop is flipped."""
        return cv2.flip(rgb, 1) if self.flip else rgb

    def jittered(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3] with the sample's jitter, if there is one."""
        return rgb if self.jitter is None else self.jitter(rgb)

    def map(self, values: np.ndarray) -> np.ndarray:
        """Crop and flip [H,W] or [C,H,W] to [...,height,width]; a view where nothing is flipped."""
        cropped = values[..., self.top : self.top + self.height, self.left : self.left + self.width]
        if not self.flip:
            return cropped
        # OpenCV is several times as fast as NumPy.
        return cv2.flip(cropped, 1) if values.ndim == 2 else np.stack([cv2.flip(plane, 1) for plane in cropped])

    def normals(self, normals: np.ndarray) -> np.ndarray:
        """As `map`, for unit vectors [3,H,W]: seen in a mirror, right is left, so x changes its sign."""
        normals = self.map(normals)
        if self.flip:
            np.negative(normals[0], out=normals[0])
        return normals

    def intrinsics(self, matrix: np.ndarray) -> np.ndarray:
        """float32 [3,3] of the sample, from those of the resized image."""
        matrix = matrix.astype(np.float64)
        matrix[0, 2] -= self.left
        matrix[1, 2] -= self.top
        if self.flip:
            matrix[0, 2] = self.width - 1 - matrix[0, 2]
        return matrix.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """How samples are cut from resized images.

    Args:
        width, height: of the resized image.
        crop_width, crop_height: of the sample.
        crop: where the crop lies; "none" keeps the whole resized image whatever the crop size.
        flip: probability of a horizontal flip.
        jitter: whether colours are jittered.
    """

    width: int
    height: int
    crop_width: int
    crop_height: int
    crop: Literal["none", "random", "center"] = "none"
    flip: float = 0.0
    jitter: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the samples."""
        return (self.height, self.width) if self.crop == "none" else (self.crop_height, self.crop_width)

    def draw(self, rng: np.random.Generator) -> SampleTransform:
        """The crop, flip and jitter of one sample, from its own generator."""
        height, width = self.size
        left, top = (self.width - width) // 2, (self.height - height) // 2
        if self.crop == "random":
            left = int(rng.integers(self.width - width + 1))
            top = int(rng.integers(self.height - height + 1))
        flip = bool(rng.random() < self.flip)
        return SampleTransform(left, top, width, height, flip, Jitter.draw(rng) if self.jitter else None)
