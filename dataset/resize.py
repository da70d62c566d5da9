"""What files hold, resized to the network's input; apart from the rest, for commands that do not wait for PyTorch.

The RGB image is resized with Pillow's LANCZOS, as the published weights were trained; every other map by nearest
neighbour on the centre-aligned grid, so that all maps of a sample stay aligned with one another.
"""

import cv2
import numpy as np
from PIL import Image


def resize_rgb(image: Image.Image, *, width: int, height: int) -> np.ndarray:
    """uint8 [height,width,3]; not resampled where the image already has this size."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)


def resize_nearest(stored: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """[height,width] or [height,width,C] of the type of `stored`; every value is one of its own."""
    if stored.shape[:2] == (height, width):
        return stored
    return cv2.resize(stored, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def resize_edges(stored: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """uint8 [height,width], 1 where any edge (> 0 in `stored`) falls into the pixel: thin edges survive shrinking."""
    edges = (stored > 0).astype(np.uint8)
    if edges.shape == (height, width):
        return edges
    # Linear, which is faster, weights every pixel in as long as the steps between the samples are well below 2 pixels.
    shrinks = edges.shape[0] > 1.5 * height or edges.shape[1] > 1.5 * width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(edges * np.uint8(255), (width, height), interpolation=interpolation)
    return (resized > 0).astype(np.uint8)
