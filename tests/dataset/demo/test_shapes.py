"""Ray intersections of the demo world's shapes: hand-computed hits, and a march along random rays as oracle."""

import numpy as np
import pytest

from dataset.demo.shapes import Box, Cylinder, Plane, Shape, Sphere, pitch, roll, yaw

ZERO = np.zeros(3)
SPHERE = Sphere(centre=ZERO, radius=2.0)
BOX = Box(centre=ZERO, half=(1.0, 2.0, 3.0))
CYLINDER = Cylinder(centre=ZERO, radius=1.0, half_height=2.0)
PLANE = Plane(centre=ZERO, half=(1.0, 0.5))


def hit(shape: Shape, origin: tuple[float, ...], direction: tuple[float, ...]) -> float:
    return float(shape.entry(np.array(origin, dtype=float), np.array([direction], dtype=float))[0])


@pytest.mark.parametrize(
    ("shape", "origin", "direction", "expected"),
    [
        (SPHERE, (0, 0, -10), (0, 0, 1), 8.0),
        (SPHERE, (0, 0, -10), (0.1, 0, 1), (10 - np.sqrt(100 - 1.01 * 96)) / 1.01),
        (SPHERE, (0, 0, -10), (0.3, 0, 1), np.inf),
        (SPHERE, (0, 0, -10), (0, 0, -1), np.inf),  # behind the camera
        (BOX, (0, 0, -10), (0, 0, 1), 7.0),
        (BOX, (-5, 0, 0), (2, 0, 0), 2.0),  # parameters, not metres
        (BOX, (2, 0, -10), (0, 0, 1), np.inf),  # parallel to four faces, outside
        (BOX, (-4, 0, -10), (0.4, 0, 1), 7.5),  # through the side
        (BOX, (0, 0, -10), (0.2, 0, 1), np.inf),  # just past the edge
        (CYLINDER, (0, 0, -5), (0, 0, 1), 4.0),
        (CYLINDER, (0, -6, 0), (0, 1, 0), 4.0),  # along the axis, onto the cap
        (CYLINDER, (1.5, -6, 0), (0, 1, 0), np.inf),  # along the axis, beside it
        (CYLINDER, (0, -6, -3), (0, 1, 0.75), 4.0),  # over the rim onto the cap
        (CYLINDER, (0, -6, -5), (0, 0, 1), np.inf),  # above it
        (PLANE, (0, 0, -4), (0, 0, 1), 4.0),
        (PLANE, (0, 0, -4), (0.3, 0, 1), np.inf),  # 1.2 to the right
        (PLANE, (0, 0, 4), (0, 0, -1), np.inf),  # from behind
        (Plane(centre=ZERO), (0, 0, -4), (90, -7, 1), 4.0),  # endless
    ],
)
def test_hand_computed_hits(shape, origin, direction, expected):
    assert hit(shape, origin, direction) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "point", "normal"),
    [
        (SPHERE, (0, 0, -2), (0, 0, -1)),
        (SPHERE, (1.2, -1.6, 0), (0.6, -0.8, 0)),
        (BOX, (-1, 1.9, 2.9), (-1, 0, 0)),
        (BOX, (0.9, -2, -2.9), (0, -1, 0)),
        (CYLINDER, (0.6, 1.9, -0.8), (0.6, 0, -0.8)),
        (CYLINDER, (0.1, -2, 0.2), (0, -1, 0)),
        (PLANE, (0.3, 0.2, 0), (0, 0, -1)),
    ],
)
def test_hand_computed_normals(shape, point, normal):
    np.testing.assert_allclose(shape.normal(np.array([point], dtype=float))[0], normal, atol=1e-12)


def inside(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Whether points [...,3] lie in the solid, from its definition alone."""
    x, y, z = np.moveaxis(points, -1, 0)
    if isinstance(shape, Sphere):
        return x**2 + y**2 + z**2 <= shape.radius**2
    if isinstance(shape, Cylinder):
        return (x**2 + z**2 <= shape.radius**2) & (abs(y) <= shape.half_height)
    return (abs(x) <= shape.half[0]) & (abs(y) <= shape.half[1]) & (abs(z) <= shape.half[2])


@pytest.mark.parametrize("shape", [SPHERE, BOX, CYLINDER])
def test_marching_along_random_rays_finds_the_same_hits(shape):
    rng = np.random.default_rng(0)
    origin = np.array([1.0, -4.0, -9.0])
    directions = rng.uniform(-3, 3, (300, 3)) - origin
    steps = np.linspace(0, 3, 6001)
    points = origin + steps[:, None, None] * directions
    within = inside(shape, points)  # [steps,300]
    marched = np.where(within.any(axis=0), steps[within.argmax(axis=0)], np.inf)

    entry = shape.entry(origin, directions)

    found = np.isfinite(marched)
    assert 50 < found.sum() < 300
    np.testing.assert_allclose(entry[found], marched[found], atol=1e-3)
    # A ray that the march misses may at most graze the solid.
    grazes = shape.entry(origin, directions[~found])
    touched = np.isfinite(grazes)
    assert touched.sum() <= 3
    # Normals point out of the solid: a small step along them leaves it, a small step back enters.
    on_surface = origin + entry[found, None] * directions[found]
    normals = shape.normal(on_surface)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert not inside(shape, on_surface + 1e-6 * normals).any()
    assert inside(shape, on_surface - 1e-6 * normals).mean() > 0.99


def test_rotations_turn_the_way_their_docstrings_say():
    forward, right = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    assert (yaw(0.1) @ forward)[0] > 0  # right
    assert (pitch(-0.1) @ forward)[1] > 0  # down, as y points down
    assert (roll(0.1) @ right)[1] > 0  # clockwise
    for rotation in (yaw(0.3), pitch(0.3), roll(0.3)):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-15)
        assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sphere(centre=ZERO, radius=0.0),
        lambda: Box(centre=ZERO, half=(1.0, -1.0, 1.0)),
        lambda: Cylinder(centre=ZERO, radius=1.0, half_height=0.0),
        lambda: Plane(centre=ZERO, half=(0.0, 1.0)),
    ],
)
def test_sizes_must_be_positive(make):
    with pytest.raises(ValueError, match=r"sizes must be positive, got \("):
        make()
