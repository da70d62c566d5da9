"""Pictures of images and predictions: a colouring per task, grids of captioned pictures, PNG files.

Pure functions on numpy arrays: maps are [H, W], vectors and images [C, H, W] as in a sample, pictures uint8 RGB
[H, W, 3]. Nothing here knows a dataset: class colours and ranges are arguments.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from utils.files import write_atomically

IGNORED_COLOR = (72, 72, 72)  # classes outside the palette
UNKNOWN_COLOR = (0, 0, 0)  # no measurement; the colours of depth and normals do not contain it

BACKGROUND = 24  # grey of a panel
CAPTION_COLOR = (230, 230, 230)
TITLE_COLOR = (150, 200, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 8  # pixels between pictures and around the panel
MIN_WIDTH, MAX_WIDTH = 256, 640  # of a picture in a panel: captions stay readable, files small

Captioned = tuple[str, np.ndarray]  # a caption and the picture below it


def color_image(image: np.ndarray) -> np.ndarray:
    """An image [3, H, W] in [0, 1] as a picture; values beyond are clipped."""
    return _to_uint8(np.asarray(image, dtype=np.float32).transpose(1, 2, 0) * 255)  # [H, W, 3]


def color_semseg(train_ids: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Train ids [H, W] (0..255) in the colours of their classes, uint8 [n_classes, 3]; other ids (ignore) grey."""
    table = np.full((256, 3), IGNORED_COLOR, dtype=np.uint8)
    table[: len(colors)] = colors
    return table[train_ids]  # [H, W, 3]


def color_edges(edges: np.ndarray) -> np.ndarray:
    """Edge probability [H, W] (0..1, or 0/1) as grey: black no edge, white an edge."""
    return np.repeat(_to_uint8(np.asarray(edges, dtype=np.float32) * 255)[..., None], 3, axis=2)  # [H, W, 3]


def color_normals(normals: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Vectors [3, H, W] of any length: (n + 1) / 2 as RGB; black where not `valid` [H, W], not finite or zero."""
    vectors = np.asarray(normals, dtype=np.float32).transpose(1, 2, 0)  # [H, W, 3]
    length = np.linalg.norm(vectors, axis=2, keepdims=True)  # [H, W, 1]
    known = np.isfinite(length[..., 0]) & (length[..., 0] > 0)
    if valid is not None:
        known &= valid
    with np.errstate(divide="ignore", invalid="ignore"):
        picture = (vectors / length + 1) * 127.5
    picture[~known] = UNKNOWN_COLOR
    return _to_uint8(picture)


def depth_limits(depth: np.ndarray, valid: np.ndarray | None = None) -> tuple[float, float]:
    """(near, far) metres of a colour scale: the 2nd and 98th percentile of the measured pixels [H, W], or 1 and 10.

    `color_depth` takes the limits of one map (the ground truth) for all, so that their colours compare.
    """
    known = _measured(depth, valid)
    if not known.any():
        return 1.0, 10.0
    near, far = np.percentile(np.asarray(depth, dtype=np.float32)[known], (2, 98))
    return float(near), float(max(far, near * 1.01))


def color_depth(
    depth: np.ndarray, limits: tuple[float, float] | None = None, valid: np.ndarray | None = None
) -> np.ndarray:
    """Depth [H, W] in metres: near bright, far dark blue, black where not measured.

    The scale is logarithmic: equal ratios of depth look alike. Linear metres would leave the near half one colour,
    inverse depth the far half.

    Not measured is what is not positive, not finite or not `valid` [H, W]. Colours end at `limits` (near, far); default
    `depth_limits` of this map.
    """
    known = _measured(depth, valid)
    near, far = limits or depth_limits(depth, valid)
    metres = np.where(known, depth, far).astype(np.float32)
    share = np.log(far / np.maximum(metres, 1e-6)) / np.log(far / near)  # 1 near, 0 far
    return _color_map(share, cv2.COLORMAP_PLASMA, known)


def color_disparity(values: np.ndarray, largest: float | None = None) -> np.ndarray:
    """A quantity >= 0 (disparity, entropy, error) [H, W]: 0 dark, `largest` (default: the 95th percentile) bright.

    Values that are not finite are black.
    """
    values = np.asarray(values, dtype=np.float32)
    known = np.isfinite(values)
    if largest is None:
        largest = float(np.percentile(values[known], 95)) if known.any() else 1.0
    return _color_map(np.where(known, values, 0) / max(largest, 1e-12), cv2.COLORMAP_MAGMA, known)


def color_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image [3, H, W] in [0, 1], dimmed where the mask [H, W] is false."""
    picture = color_image(image)
    picture[~np.asarray(mask, dtype=bool)] //= 4
    return picture


def panel(rows: Sequence[Sequence[Captioned]], titles: Sequence[str] = ()) -> np.ndarray:
    """One picture of rows of captioned pictures, all drawn at one width.

    Small pictures are enlarged and large ones reduced, keeping their aspect ratio; pictures of other sizes than the
    first (a coarser scale, say) are drawn at its size. The size of the result does not depend on the texts, so that the
    frames of a video give panels of one size.

    Rows hold at least one picture and may differ in length; `titles` has a heading above each row, or none at all.
    """
    height, width = next(picture.shape[:2] for row in rows for _, picture in row)
    drawn_width = min(width * -(-MIN_WIDTH // width), MAX_WIDTH)  # enlarged by whole factors
    drawn_height = max(1, round(height * drawn_width / width))
    line = min(max(drawn_width // 16, 24), 36)  # height of a line of text
    title_height = line if titles else 0
    row_height = title_height + line + drawn_height + GAP
    columns = max(len(row) for row in rows)
    size = (GAP + len(rows) * row_height, GAP + columns * (drawn_width + GAP), 3)
    canvas = np.full(size, BACKGROUND, dtype=np.uint8)
    for index, row in enumerate(rows):
        top = GAP + index * row_height
        if titles:
            _write(canvas[top : top + line, GAP:-GAP], titles[index], TITLE_COLOR)
        top += title_height
        for column, (caption, picture) in enumerate(row):
            left = GAP + column * (drawn_width + GAP)
            cell = canvas[top : top + line + drawn_height, left : left + drawn_width]
            _write(cell[:line], caption, CAPTION_COLOR)
            cell[line:] = _resize(picture, drawn_width, drawn_height)
    return canvas


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture (uint8 RGB [H, W, 3]) or a map (uint8, uint16 [H, W]); raises what `write_atomically` does."""
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture)  # BGR
    write_atomically(path, lambda file: file.write(encoded.tobytes()), durable=False)


def _measured(depth: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    known = np.isfinite(depth) & (depth > 0)
    return known if valid is None else known & valid


def _color_map(share: np.ndarray, color_map: int, known: np.ndarray) -> np.ndarray:
    """A share of the scale, 0..1 [H, W], through an OpenCV colour map to RGB [H, W, 3]."""
    picture = cv2.applyColorMap(_to_uint8(share * 255), color_map)[..., ::-1].copy()
    picture[~known] = UNKNOWN_COLOR
    return picture


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Nearest when enlarging, which keeps pixels and class colours; area averages when reducing."""
    enlarges = picture.shape[1] <= width
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST_EXACT if enlarges else cv2.INTER_AREA)


def _write(area: np.ndarray, text: str, color: tuple[int, int, int]) -> None:
    """Write one line into an area [h, w, 3] of a canvas, in letters of its height, truncated where it is too long."""
    height, width = area.shape[:2]
    scale = height / 48
    text = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    shown, kept = text, len(text)
    while kept and cv2.getTextSize(shown, FONT, scale, 1)[0][0] > width:
        kept -= 1
        shown = text[:kept] + "..."
    drawn = np.ascontiguousarray(area)  # OpenCV cannot draw into a view
    cv2.putText(drawn, shown, (0, height * 2 // 3), FONT, scale, color, 1, cv2.LINE_AA)
    area[:] = drawn
