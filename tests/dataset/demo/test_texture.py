"""Textures are band-limited exactly as a Gaussian lens would do it, and patterns lie where they should."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dataset.demo.texture import LENS, Pattern, Texture, every

GREY = np.full(3, 0.5)


def along_x(count: int, spacing: float) -> np.ndarray:
    return np.column_stack([np.arange(count) * spacing, np.zeros(count), np.zeros(count)])


@pytest.mark.parametrize("pixels_a_wave", [3, 5, 12])
def test_attenuation_is_that_of_a_gaussian_lens(pixels_a_wave):
    fine, metres = 40, 0.01  # samples a pixel, and its size on the surface
    points = along_x(60 * fine, metres / fine)
    still = np.zeros_like(points)
    waves = np.array([[2 * np.pi / (pixels_a_wave * metres), 0, 0]])
    texture = Texture(colour=GREY, waves=waves, phases=np.zeros(1), tints=np.full((1, 3), 0.4))
    blurred = gaussian_filter1d(texture.sample(points, still, still)[:, 0], LENS * fine)  # oracle
    seen = texture.sample(points, still + [metres, 0.0, 0.0], still)[:, 0]
    inner = slice(10 * fine, -10 * fine)
    np.testing.assert_allclose(seen[inner], blurred[inner], atol=1e-3)


@pytest.mark.parametrize(("alternate", "expected"), [(False, [1, 0, 0, 0]), (True, [0, 1, 1, 0])])
def test_patterns_lay_the_second_colour_where_they_should(alternate, expected):
    pattern = Pattern(GREY, (every(x=1), every(y=2)), sharpness=20, alternate=alternate)
    points = np.array([[0.25, 0.5, 0], [0.25, 1.5, 0], [0.75, 0.5, 0], [0.75, 1.5, 0]])
    share = pattern.share(points, np.zeros_like(points), np.zeros_like(points))
    np.testing.assert_allclose(share[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("pixel", [0.01, 0.1, 0.3, 0.7, 3.0])  # metres
def test_pattern_edges_never_alias(pixel):
    """However small the tiles, the second colour's share changes by at most the lens's slope from pixel to pixel."""
    points = along_x(400, pixel)
    still = np.zeros_like(points)
    share = Pattern(GREY, (every(x=1),), sharpness=6).share(points, still + [pixel, 0, 0], still)[:, 0]
    assert np.abs(np.diff(share)).max() < 0.6
