"""Rays meet shapes where hand computation and a march along them say, the nearest one first."""

import numpy as np
import pytest

from dataset.demo.builder import camera_pose
from dataset.demo.raycast import View
from dataset.demo.shapes import Box, Cylinder, Plane, Shape, Sphere, pitch, yaw

ZERO = np.zeros(3)
SPHERE, BOX, CYLINDER = Sphere(ZERO, 2.0), Box(ZERO, (1.0, 2.0, 3.0)), Cylinder(ZERO, (1.0, 2.0, 1.0))
PLANE = Plane(ZERO, (1.0, 0.5, 0.0))
INTRINSICS = np.array([[40.0, 0.0, 20.0], [0.0, 44.0, 14.0], [0.0, 0.0, 1.0]])
PIXELS = np.stack(np.meshgrid(np.arange(40), np.arange(28)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(
    ("shape", "origin", "direction", "expected"),
    [
        (SPHERE, (0, 0, -10), (0.1, 0, 1), (10 - np.sqrt(100 - 1.01 * 96)) / 1.01),
        (BOX, (-5, 0, 0), (2, 0, 0), 2.0),  # parameters, not metres
        (BOX, (2, 0, -10), (0, 0, 1), np.inf),  # parallel to four faces, outside
        (CYLINDER, (0, -6, 0), (0, 1, 0), 4.0),  # along the axis, onto the cap
        (CYLINDER, (0, -6, -3), (0, 1, 0.75), 4.0),  # over the rim onto the cap
        (PLANE, (0, 0, -4), (0.2, 0.1, 1), 4.0),
        (PLANE, (0, 0, -4), (0.3, 0, 1), np.inf),  # 1.2 to the right
        (PLANE, (0, 0, 4), (0, 0, -1), np.inf),  # from behind
    ],
)
def test_hand_computed_hits(shape, origin, direction, expected):
    entry = shape.entry(np.array(origin, dtype=float), np.array([direction], dtype=float))
    np.testing.assert_allclose(entry, [expected], rtol=1e-12)


def inside(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Whether points [...,3] lie in the solid, from its definition alone."""
    scaled = points / shape.half
    if isinstance(shape, Sphere):
        return (scaled**2).sum(axis=-1) <= 1
    if isinstance(shape, Cylinder):
        return (scaled[..., 0] ** 2 + scaled[..., 2] ** 2 <= 1) & (abs(scaled[..., 1]) <= 1)
    return (abs(scaled) <= 1).all(axis=-1)


@pytest.mark.parametrize("shape", [SPHERE, BOX, CYLINDER])
def test_marching_along_random_rays_finds_the_same_hits_and_sides(shape):
    origin = np.array([1.0, -4.0, -9.0])
    directions = np.random.default_rng(0).uniform(-3, 3, (300, 3)) - origin
    steps = np.linspace(0, 3, 6001)
    within = inside(shape, origin + steps[:, None, None] * directions)  # [steps,300]
    found = within.any(axis=0)
    entry = shape.entry(origin, directions)
    assert 50 < found.sum() < 300
    np.testing.assert_allclose(entry[found], steps[within.argmax(axis=0)][found], atol=1e-3)
    assert np.isfinite(entry[~found]).sum() <= 3  # the march may miss what grazes the solid
    surface = origin + entry[found, None] * directions[found]
    normals = shape.normal(surface)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert not inside(shape, surface + 1e-6 * normals).any()  # they point out of the solid
    assert inside(shape, surface - 1e-6 * normals).mean() > 0.99


def test_yaw_turns_right_and_negative_pitch_down():
    assert (yaw(0.1) @ [0, 0, 1])[0] > 0 < (pitch(-0.1) @ [0, 0, 1])[1]


def test_whole_numbers_are_pixel_centres_and_depth_is_along_the_optical_axis():
    view = View([Plane(np.array([0.0, 0.0, 5.0]), np.inf)], np.eye(4), INTRINSICS)
    np.testing.assert_allclose(view.rays(np.array([[20, 14], [60, 58]])).directions, [[0, 0, 1], [1, 1, 1]])
    np.testing.assert_allclose(view.cast(view.rays(PIXELS))[1], 5.0)


@pytest.mark.parametrize("pose", [np.eye(4), camera_pose((0.3, -0.5, 1.0), yaw_angle=0.7, down=0.2)])
def test_nearest_of_all_shapes_wherever_they_stand(pose):
    rng = np.random.default_rng(1)
    shapes = [Plane(np.array([0.0, 1.5, 0.0]), (4.0, np.inf, 0.0), pitch(-np.pi / 2))]
    for shape in (SPHERE, BOX, CYLINDER, PLANE) * 12:  # in front of the camera, beside it and behind it
        rotation = yaw(rng.uniform(0, 6)) @ pitch(rng.uniform(0, 6))
        shapes.append(type(shape)(rng.uniform((-6, -3, -6), (6, 3, 14)), 0.4 * shape.half, rotation))
    view = View(shapes, pose, INTRINSICS)
    index, depth = view.cast(rays := view.rays(PIXELS))
    # Oracle: every shape against every ray, without any bounds.
    entries = np.array([s.entry((pose[:3, 3] - s.centre) @ s.rotation, rays.directions @ s.rotation) for s in shapes])
    np.testing.assert_allclose(depth, entries.min(axis=0), rtol=1e-12)
    hit = np.isfinite(depth)
    assert 0.2 < hit.mean() < 1
    np.testing.assert_array_equal(index, np.where(hit, entries.argmin(axis=0), -1))


@pytest.mark.parametrize("shape", [Sphere((0.2, 0.1, 4.0), 1.5, yaw(0.5)), Plane((0, 0, 4), np.inf, yaw(0.6))])
def test_movement_from_pixel_to_pixel(shape):
    view = View([shape], camera_pose((0.1, 0.0, 0.2), yaw_angle=0.05, down=0.03), INTRINSICS)

    def seen(u, v):
        rays = view.rays(np.array([[18.0, 12.0], [25.0, 17.0]]) + (u, v))
        return view.surface_points(0, rays.directions, view.cast(rays)[1])

    for moved, (u, v) in ((seen(0, 0).du, (1e-4, 0)), (seen(0, 0).dv, (0, 1e-4))):
        np.testing.assert_allclose(moved, (seen(u, v).points - seen(-u, -v).points) / 2e-4, rtol=1e-5, atol=1e-8)
