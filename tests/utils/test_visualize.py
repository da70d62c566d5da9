"""Colours by hand, panels by their layout, files by what they hold when read back."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.errors import UserError
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


def test_image_is_scaled_and_clipped():
    image = np.array([0.0, 0.5, 1.7]).reshape(3, 1, 1)

    assert color_image(image).tolist() == [[[0, 128, 255]]]


def test_semseg_looks_up_colors_and_greys_the_rest():
    colors = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)

    colored = color_semseg(np.array([[0, 1, 2, 250]]), colors)

    assert colored.dtype == np.uint8
    assert colored.tolist() == [[[1, 2, 3], [4, 5, 6], list(IGNORED_COLOR), list(IGNORED_COLOR)]]


def test_edges_are_white_on_black():
    assert color_edges(np.array([[0, 1], [0.2, 0.6]]))[..., 0].tolist() == [[0, 255], [51, 153]]


def test_normals_become_colors_whatever_their_length():
    """Facing the camera: (0, 0, 1) -> (127.5, 127.5, 255), the half rounded to even; left-facing at any length."""
    normals = np.array([[0, 0, 5.0], [-0.1, 0, 0], [0, 0, 0], [np.nan, 0, 1]]).T.reshape(3, 1, 4)

    colored = color_normals(normals)[0].tolist()

    assert colored == [[128, 128, 255], [0, 128, 128], list(UNKNOWN_COLOR), list(UNKNOWN_COLOR)]
    assert color_normals(normals, np.zeros((1, 4), dtype=bool)).max() == 0


def test_depth_gets_darker_with_distance_and_black_where_unknown():
    """From the nearest limit to the farthest, beyond which colours end."""
    depth = np.array([[1.0, 2.0, 4.0, 8.0, 0.0, np.inf, np.nan, 3.0, 0.5, 80.0]])
    valid = np.array([[True] * 7 + [False, True, True]])

    colored = color_depth(depth, (1.0, 8.0), valid)[0]

    assert (np.diff(brightness(colored[:4])) < 0).all()
    assert colored[4:8].max() == 0 and brightness(colored[3]) > 0
    assert colored[[0, 3]].tolist() == colored[[8, 9]].tolist()


def test_depth_scale_is_logarithmic():
    """1 to 100 m: 10 m is the middle of the colour map."""
    middle = cv2.applyColorMap(np.array([[128]], dtype=np.uint8), cv2.COLORMAP_PLASMA)[0, 0, ::-1]

    assert color_depth(np.array([[10.0]]), (1.0, 100.0))[0, 0].tolist() == middle.tolist()


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

    enlarged = panel([[("", checkers)]])

    assert set(np.unique(enlarged)) == {0, BACKGROUND, 255}
    height, width = panel([[("", picture(1024, 2048, 9))]]).shape[:2]
    assert (width, height) == (MAX_WIDTH + 2 * GAP, MAX_WIDTH // 2 + 2 * GAP + 36)


def test_captions_and_titles_are_written_in_their_own_space():
    row = [("caption", picture(64, 256, 0))]

    plain, titled = panel([[("", picture(64, 256, 0))]]), panel([row], titles=["title"])

    assert (plain[: GAP + 24] == BACKGROUND).all()
    assert titled.shape[0] == plain.shape[0] + 24
    assert titled[GAP : GAP + 24].max() > 200 and titled[GAP + 24 : GAP + 48].max() > 200
    assert (titled[GAP + 48 : -GAP, GAP:-GAP] == 0).all()


def test_long_caption_ends_before_the_next_picture_which_is_drawn_at_the_size_of_the_first():
    result = panel([[("ü" * 200, picture(64, 256, 0)), ("", picture(128, 512, 90))]])

    assert result[GAP : GAP + 24, : GAP + 256].max() > 200
    assert (result[GAP : GAP + 24, GAP + 256 :] == BACKGROUND).all()
    assert (result[GAP + 24 : -GAP, 2 * GAP + 256 : -GAP] == 90).all()


def test_png_holds_what_was_written(tmp_path: Path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    depth = np.array([[0, 1, 65535]], dtype=np.uint16)
    ids = np.array([[0, 250]], dtype=np.uint8)

    for name, array in (("rgb", rgb), ("depth", depth), ("ids", ids)):
        write_png(tmp_path / f"{name}.png", array)

    assert (cv2.imread(str(tmp_path / "rgb.png"))[..., ::-1] == rgb).all()
    for name, array in (("depth", depth), ("ids", ids)):
        read = cv2.imread(str(tmp_path / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert read.dtype == array.dtype and (read == array).all()
    assert sorted(os.listdir(tmp_path)) == ["depth.png", "ids.png", "rgb.png"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"x.png: cannot be written \(No such file"):
        write_png(tmp_path / "absent" / "x.png", picture(2, 2, 0))
