"""Textures are band-limited exactly as a Gaussian lens would do it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dataset.demo.texture import LENS, Pattern, Texture, every

GREY = np.full(3, 0.5)


@pytest.mark.parametrize("pixels_a_wave", [3, 5, 12])
def test_attenuation_is_that_of_a_gaussian_lens(pixels_a_wave):
    fine, metres = 40, 0.01  # samples a pixel, and its size on the surface
    points = np.outer(np.arange(60 * fine), [metres / fine, 0, 0])
    still = np.zeros_like(points)
    waves = np.array([[2 * np.pi / (pixels_a_wave * metres), 0, 0]])
    texture = Texture(colour=GREY, waves=waves, phases=np.zeros(1), tints=np.full((1, 3), 0.4))
    blurred = gaussian_filter1d(texture.sample(points, still, still)[:, 0], LENS * fine)  # oracle
    seen = texture.sample(points, still + [metres, 0, 0], still)[:, 0]
    inner = slice(10 * fine, -10 * fine)
    np.testing.assert_allclose(seen[inner], blurred[inner], atol=1e-3)


@pytest.mark.parametrize("pixel", [0.01, 0.1, 0.3, 0.7, 3.0])  # metres
@pytest.mark.parametrize("alternate", [False, True])
def test_pattern_edges_never_alias(pixel, alternate):
    """However small the tiles, the second colour's share changes by at most the lens's slope from pixel to pixel."""
    points = np.outer(np.arange(400), [pixel, 0, 0]) + [0, 0.25, 0]
    still = np.zeros_like(points)
    pattern = Pattern(GREY, (every(x=1), every(y=1)), sharpness=6, alternate=alternate)
    share = pattern.share(points, still + [pixel, 0, 0], still)[:, 0]
    assert np.abs(np.diff(share)).max() < 0.6
    if pixel == 0.01:  # near, tiles are plain to see
        np.testing.assert_allclose(share[[25, 75]], [0, 1] if alternate else [1, 0], atol=1e-3)
