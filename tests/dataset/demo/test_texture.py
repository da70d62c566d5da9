"""Textures are band-limited exactly as a Gaussian lens would do it, and fixed to the surface."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dataset.demo.texture import LENS, Texture, grid, mottled

GREY = np.full(3, 0.5)


def wave(length: float) -> Texture:
    """One wave of `length` metres along x."""
    return Texture(
        colour=GREY, waves=np.array([[2 * np.pi / length, 0, 0]]), phases=np.zeros(1), tints=np.full((1, 3), 0.4)
    )


def along_x(count: int, spacing: float) -> np.ndarray:
    return np.column_stack([np.arange(count) * spacing, np.zeros(count), np.zeros(count)])


@pytest.mark.parametrize("pixels_a_wave", [3, 5, 12])
def test_attenuation_is_that_of_a_gaussian_lens(pixels_a_wave):
    fine = 40  # samples a pixel
    metres = 0.01  # a pixel on the surface
    points = along_x(60 * fine, metres / fine)
    texture = wave(pixels_a_wave * metres)
    sharp = texture.sample(points, np.zeros_like(points), np.zeros_like(points))[:, 0]
    blurred = gaussian_filter1d(sharp, LENS * fine)  # oracle

    footprint = np.broadcast_to([metres, 0.0, 0.0], points.shape)
    seen = texture.sample(points, footprint, np.zeros_like(points))[:, 0]

    inner = slice(10 * fine, -10 * fine)
    np.testing.assert_allclose(seen[inner], blurred[inner], atol=1e-3)


def test_movement_along_the_crests_blurs_nothing():
    points = along_x(50, 0.013)
    still = np.zeros_like(points)
    along = np.broadcast_to([0.0, 5.0, 0.0], points.shape)
    np.testing.assert_array_equal(wave(0.1).sample(points, along, still), wave(0.1).sample(points, still, still))


def test_far_away_a_texture_is_its_mean_colour():
    rng = np.random.default_rng(0)
    texture = mottled(rng, np.array([0.6, 0.4, 0.2]), wavelengths=(0.2, 0.5), contrast=0.1)
    points = rng.uniform(-5, 5, (200, 3))
    far = np.full_like(points, 4.0) * rng.choice([-1, 1], points.shape)
    near = np.zeros_like(points)
    assert texture.sample(points, near, near).std(axis=0).min() > 0.02
    np.testing.assert_allclose(texture.sample(points, far, far[::-1]).mean(axis=0), texture.colour, atol=5e-3)


@pytest.mark.parametrize(
    ("alternate", "expected"),
    # Quadrants (sine of x, sine of y): both positive, only x, only y, neither.
    [(False, [1, 0, 0, 0]), (True, [0, 1, 1, 0])],
)
def test_patterns_lay_the_second_colour_where_they_should(alternate, expected):
    pattern = grid(GREY, periods=((1, np.inf, np.inf), (np.inf, 2, np.inf)), sharpness=20, alternate=alternate)
    points = np.array([[0.25, 0.5, 0], [0.25, 1.5, 0], [0.75, 0.5, 0], [0.75, 1.5, 0]])
    share = pattern.share(points, np.zeros_like(points), np.zeros_like(points))
    np.testing.assert_allclose(share[:, 0], expected, atol=1e-6)


def test_pattern_edges_never_alias():
    """However small the tiles, the second colour's share changes by at most the lens's slope from pixel to pixel."""
    pattern = grid(GREY, periods=((1, np.inf, np.inf),), sharpness=6)
    for pixel in (0.01, 0.1, 0.3, 0.7, 3.0):  # metres
        points = along_x(400, pixel)
        share = pattern.share(points, np.broadcast_to([pixel, 0, 0], points.shape), np.zeros_like(points))[:, 0]
        assert np.abs(np.diff(share)).max() < 0.6


def test_colours_stay_in_range_and_keep_their_hue():
    rng = np.random.default_rng(3)
    texture = mottled(rng, np.array([0.9, 0.1, 0.05]), wavelengths=(0.3,), contrast=0.2)
    points = rng.uniform(-5, 5, (500, 3))
    colours = texture.sample(points, np.zeros_like(points), np.zeros_like(points))
    assert colours.min() >= 0 and colours.max() <= 1
    assert (colours[:, 0] > colours[:, 1]).all()
