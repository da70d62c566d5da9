"""Colours by hand, panels by their layout, files by what they hold when read back."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.visualize import (
    BACKGROUND,
    GAP,
    IGNORED_COLOR,
    MAX_WIDTH,
    UNKNOWN_COLOR,
    color_depth,
    color_disparity,
    color_edges,
    color_image,
    color_normals,
    color_semseg,
    depth_limits,
    panel,
    write_png,
)


def picture(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def brightness(colors: np.ndarray) -> np.ndarray:
    return colors.astype(int).sum(-1)


GREY, BLACK = list(IGNORED_COLOR), list(UNKNOWN_COLOR)
COLORS = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
# Facing the camera, (0, 0, 1), gives (127.5, 127.5, 255), the half rounded to even; left-facing at any length.
NORMALS = np.array([[0, 0, 5.0], [-0.1, 0, 0], [0, 0, 0], [np.nan, 0, 1]]).T.reshape(3, 1, 4)
HALVES = np.full((3, 1, 2), 0.8)


@pytest.mark.parametrize(
    ("colored", "expected"),
    [
        (color_image(np.array([0.0, 0.5, 1.7]).reshape(3, 1, 1)), [[0, 128, 255]]),
        (color_semseg(np.array([[0, 1, 2, 250]]), COLORS), [[1, 2, 3], [4, 5, 6], GREY, GREY]),
        (color_edges(np.array([[0, 1, 0.2, 0.6]])), [[0] * 3, [255] * 3, [51] * 3, [153] * 3]),
        (color_normals(NORMALS), [[128, 128, 255], [0, 128, 128], BLACK, BLACK]),
        (color_normals(NORMALS, np.zeros((1, 4), dtype=bool)), [BLACK] * 4),
    ],
)
def test_colors_by_hand(colored: np.ndarray, expected: list[list[int]]):
    assert colored.dtype == np.uint8 and colored[0].tolist() == expected
    assert (HALVES == 0.8).all()  # dimmed in a copy


def test_depth_gets_darker_with_distance_ends_at_its_limits_and_is_black_where_unknown():
    depth = np.array([[0.5, 1.0, 2.0, 4.0, 8.0, 80.0, 0.0, np.inf, np.nan, 3.0]])
    colored = color_depth(depth, (1.0, 8.0), np.array([[True] * 9 + [False]]))[0]
    assert (np.diff(brightness(colored[1:5])) < 0).all() and brightness(colored[4]) > 0
    assert (colored[0] == colored[1]).all() and (colored[4] == colored[5]).all() and not colored[6:].any()


def test_depth_scale_is_logarithmic():
    """1 to 100 m: 10 m is the middle of the colour map, whatever else is in the picture."""
    middle = cv2.applyColorMap(np.array([[128]], dtype=np.uint8), cv2.COLORMAP_PLASMA)[0, 0, ::-1]
    assert (color_depth(np.array([[10.0, 50.0]]), (1.0, 100.0))[0, 0] == middle).all()


def test_depth_limits_are_robust_and_never_empty():
    depth = np.concatenate([np.linspace(2, 10, 999), [4000.0]]).reshape(10, 100)
    near, far = depth_limits(depth)
    assert near == pytest.approx(2.16, abs=0.05) and far == pytest.approx(9.84, abs=0.05)
    assert depth_limits(np.zeros((2, 2))) == (1.0, 10.0)
    near, far = depth_limits(np.full((2, 2), 5.0))
    assert near == 5.0 < far
    assert depth_limits(depth, depth < 4)[1] < 4


def test_disparity_is_brighter_when_larger_and_ends_at_the_limit():
    colored = color_disparity(np.array([[0.0, 0.1, 0.5, 1.0, 2.0, np.nan]]), largest=1.0)[0]
    assert (np.diff(brightness(colored[:4])) > 0).all()
    assert colored[3].tolist() == colored[4].tolist() and colored[5].tolist() == [0, 0, 0]
    assert color_disparity(np.zeros((2, 2))).shape == (2, 2, 3)


def test_panel_places_pictures_in_rows_and_columns():
    rows = [[("a", picture(96, 128, 200)), ("b", picture(96, 128, 100))], [("c", picture(96, 128, 50))]]
    result = panel(rows)
    # 128 wide pictures are drawn twice as large.
    assert result.shape == (GAP + 2 * (24 + 192 + GAP), GAP + 2 * (256 + GAP), 3)
    top, left = GAP + 24, GAP
    assert (result[top : top + 192, left : left + 256] == 200).all()
    assert (result[top : top + 192, left + 256 + GAP : left + 512 + GAP] == 100).all()
    below = top + 192 + GAP + 24
    assert (result[below : below + 192, left : left + 256] == 50).all()
    assert (result[below : below + 192, left + 256 + GAP :] == BACKGROUND).all()


def test_panel_enlarges_without_new_colors_and_reduces_large_pictures():
    checkers = np.zeros((3, 5, 3), dtype=np.uint8)
    checkers[::2, ::2] = 255
    assert set(np.unique(panel([[("", checkers)]]))) == {0, BACKGROUND, 255}
    height, width = panel([[("", picture(1024, 2048, 9))]]).shape[:2]
    assert (width, height) == (MAX_WIDTH + 2 * GAP, MAX_WIDTH // 2 + 2 * GAP + 36)


def test_panel_draws_other_sizes_at_the_size_of_the_first():
    result = panel([[("full", picture(64, 256, 10)), ("half", picture(32, 128, 90)), ("big", picture(128, 512, 70))]])
    assert result.shape == (GAP + 24 + 64 + GAP, GAP + 3 * (256 + GAP), 3)
    assert (result[GAP + 24 : -GAP, 2 * GAP + 256 : 2 * GAP + 512] == 90).all()
    assert (result[GAP + 24 : -GAP, 3 * GAP + 512 : -GAP] == 70).all()


@pytest.mark.parametrize(("caption", "title"), [("caption", "title"), ("w" * 200, "Zürich, " * 40)])
def test_captions_and_titles_are_written_in_their_own_space_however_long(caption: str, title: str):
    result = panel([[(caption, picture(64, 256, 0)), ("", picture(64, 256, 0))]], titles=[title])
    assert result.shape == (GAP + 24 + 24 + 64 + GAP, GAP + 2 * (256 + GAP), 3)
    titles, captions, pictures = result[GAP : GAP + 24], result[GAP + 24 : GAP + 48], result[GAP + 48 : -GAP]
    assert titles.max() > 200 and captions[:, : GAP + 256].max() > 200
    assert (captions[:, GAP + 256 :] == BACKGROUND).all()
    assert not pictures[:, GAP : GAP + 256].any() and not pictures[:, -GAP - 256 : -GAP].any()


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8),
        np.array([[0, 1, 65535]], dtype=np.uint16),
        np.array([[0, 250]], dtype=np.uint8),
    ],
)
def test_png_holds_what_was_written(tmp_path: Path, array: np.ndarray):
    write_png(tmp_path / "x.png", array)
    read = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == array.dtype and (read == (array[..., ::-1] if array.ndim == 3 else array)).all()
