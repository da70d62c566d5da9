"""Reading the files of a sample, each decoded once.

Every function raises a UserError that names file and sample where the file is missing, truncated or of another kind.
RGB goes through Pillow, which the LANCZOS resize needs anyway and which notices truncated JPEG files; 16 bit and colour
maps go through OpenCV, which keeps all 16 bits of three channels. Both decode at the same speed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image

from utils.errors import UserError

T = TypeVar("T")
_ID_MODES = ("1", "L", "P", "I", "I;16")  # one channel, ids as they are, a palette left aside


def _read(path: Path, sample: str, load: Callable[[Path], T]) -> T:
    """`load(path)`; its errors become UserErrors."""
    try:
        return load(path)
    except FileNotFoundError as error:
        message = f"{path}: no such file, needed for sample {sample}; unpack the dataset's archive again"
        raise UserError(message) from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        message = f"{path}: truncated or corrupt ({error}), needed for sample {sample}; copy or unpack it again"
        raise UserError(message) from error


def _load_image(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def read_rgb(path: Path, sample: str) -> Image.Image:
    """A colour image at its own size."""
    image = _read(path, sample, _load_image)
    return image if image.mode == "RGB" else image.convert("RGB")


def image_size(path: Path, sample: str) -> tuple[int, int]:
    """(width, height) of an image, from its header alone."""

    def header(path: Path) -> tuple[int, int]:
        with Image.open(path) as image:
            return image.size

    return _read(path, sample, header)


def read_ids(path: Path, sample: str) -> np.ndarray:
    """One-channel label ids, [H,W] uint8 (uint16 or int32 from a 16 bit file)."""
    image = _read(path, sample, _load_image)
    if image.mode not in _ID_MODES:
        raise UserError(
            f"{path}: label ids are one channel, this file has {image.mode}, needed for sample {sample}; "
            "use the file of ids, not the coloured one"
        )
    return np.asarray(image)


def read_unchanged(path: Path, sample: str) -> np.ndarray:
    """An image with the depth and channels of its file: [H,W] or [H,W,C], OpenCV's channel order (B, G, R)."""
    return _read_cv(path, sample, cv2.IMREAD_UNCHANGED)


def read_bgr(path: Path, sample: str) -> np.ndarray:
    """A map coded in colours, [H,W,3] uint8, channels B, G, R."""
    return _read_cv(path, sample, cv2.IMREAD_COLOR)


def read_uint16(path: Path, sample: str) -> np.ndarray:
    """A 16 bit measurement, [H,W] or [H,W,C] uint16."""
    array = read_unchanged(path, sample)
    if array.dtype != np.uint16:
        raise UserError(
            f"{path}: expected 16 bit values, found {array.dtype}, needed for sample {sample}; "
            "converting the file to 8 bit lost its measurements"
        )
    return array


def _read_cv(path: Path, sample: str, flags: int) -> np.ndarray:
    def decode(path: Path) -> np.ndarray:
        path.stat()  # asked first, because OpenCV would print a warning of its own
        array = cv2.imread(str(path), flags)  # None, without an exception, whatever went wrong
        if array is None:
            raise ValueError("not a readable image")
        return array

    return _read(path, sample, decode)


def read_array(path: Path, sample: str) -> np.ndarray:
    """A NumPy array without its axes of length one: [H,W] or [H,W,3]."""
    return np.squeeze(_read(path, sample, lambda path: np.load(path, allow_pickle=False)))


def read_json(path: Path, sample: str) -> dict[str, Any]:
    """A JSON object."""
    return _read(path, sample, lambda path: json.loads(path.read_text(encoding="utf-8")))
