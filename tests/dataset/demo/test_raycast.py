"""Rays through pixel centres, the nearest shape along them, and how the seen point moves from pixel to pixel."""

import numpy as np
import pytest

from dataset.demo.builder import camera_pose
from dataset.demo.raycast import View
from dataset.demo.shapes import Box, Cylinder, Plane, Shape, Sphere, pitch, yaw

INTRINSICS = np.array([[40.0, 0.0, 20.0], [0.0, 44.0, 14.0], [0.0, 0.0, 1.0]])


def grid(width: int, height: int) -> np.ndarray:
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([u, v], axis=-1).reshape(-1, 2)


def test_depth_is_along_the_optical_axis_not_along_the_ray():
    view = View([Plane(centre=np.array([0.0, 0.0, 5.0]))], np.eye(4), INTRINSICS)
    index, depth = view.cast(view.rays(grid(40, 28)))
    assert (index == 0).all()
    np.testing.assert_allclose(depth, 5.0)


def test_whole_numbers_are_pixel_centres():
    view = View([], np.eye(4), INTRINSICS)
    rays = view.rays(np.array([[20, 14], [60, 14], [20, 58]]))
    np.testing.assert_allclose(rays.directions, [[0, 0, 1], [1, 0, 1], [0, 1, 1]])


def some_shapes() -> list[Shape]:
    rng = np.random.default_rng(1)
    shapes: list[Shape] = [Plane(centre=np.array([0.0, 1.5, 0.0]), rotation=pitch(-np.pi / 2), half=(4.0, np.inf))]
    for _ in range(12):  # in front of the camera, beside it and behind it
        centre = rng.uniform((-6, -3, -6), (6, 3, 14))
        turned = yaw(rng.uniform(0, 6)) @ pitch(rng.uniform(0, 6))
        shapes += [
            Sphere(centre=centre, radius=rng.uniform(0.2, 1)),
            Box(centre=centre + rng.normal(size=3), rotation=turned, half=tuple(rng.uniform(0.2, 1, 3))),
            Cylinder(centre=centre - rng.normal(size=3), rotation=turned, radius=0.5, half_height=1.0),
            Plane(centre=centre[::-1], rotation=turned, half=(1.0, 2.0)),
        ]
    return shapes


@pytest.mark.parametrize("pose", [np.eye(4), camera_pose((0.3, -0.5, 1.0), yaw_angle=0.7, down=0.2)])
def test_nearest_of_all_shapes_wherever_they_stand(pose):
    shapes = some_shapes()
    view = View(shapes, pose, INTRINSICS)
    rays = view.rays(grid(40, 28))

    index, depth = view.cast(rays)

    # Oracle: every shape against every ray, without any bounds.
    entries = np.array([s.entry((pose[:3, 3] - s.centre) @ s.rotation, rays.directions @ s.rotation) for s in shapes])
    np.testing.assert_allclose(depth, entries.min(axis=0), rtol=1e-12)
    hit = np.isfinite(depth)
    assert 0.2 < hit.mean() < 1
    np.testing.assert_array_equal(index[hit], entries.argmin(axis=0)[hit])
    assert (index[~hit] == -1).all()


@pytest.mark.parametrize(
    "shape",
    [
        Sphere(centre=np.array([0.2, 0.1, 4.0]), rotation=yaw(0.5), radius=1.5),
        Plane(centre=np.array([0.0, 0.0, 4.0]), rotation=yaw(0.6) @ pitch(0.3)),
    ],
)
def test_movement_from_pixel_to_pixel(shape):
    view = View([shape], camera_pose((0.1, 0.0, 0.2), yaw_angle=0.05, down=0.03), INTRINSICS)
    pixels = np.array([[18.0, 12.0], [22.0, 15.0], [25.0, 17.0]])

    def seen(offset: tuple[float, float]):
        rays = view.rays(pixels + offset)
        return view.surface_points(0, rays.directions, view.cast(rays)[1])

    here, step = seen((0, 0)), 1e-4
    du = (seen((step, 0)).points - seen((-step, 0)).points) / (2 * step)
    dv = (seen((0, step)).points - seen((0, -step)).points) / (2 * step)
    np.testing.assert_allclose(here.du, du, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(here.dv, dv, rtol=1e-5, atol=1e-8)
