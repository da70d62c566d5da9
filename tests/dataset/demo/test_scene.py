"""The demo worlds: exact maps that agree with each other, learnable class shares, two styles of one geometry."""

import numpy as np
import pytest

from dataset.demo.formats import FORMATS, make_scene
from dataset.demo.raycast import View
from dataset.demo.rendering import Frame, Scene
from dataset.demo.shapes import Box, Plane

SIZES = {"nyudv2": (96, 72), "cityscapes": (128, 64), "synthia": (96, 57), "vkitti2": (160, 48)}
pytestmark = pytest.mark.parametrize("name", SIZES)


def intrinsics(name: str) -> np.ndarray:
    return FORMATS[name].camera.matrix(width=SIZES[name][0], height=SIZES[name][1])


def shot(name: str, seed: int, *, style: str = "source", step: int = 0) -> tuple[Scene, Frame]:
    scene = make_scene(seed, style, outdoor=FORMATS[name].outdoor)
    return scene, scene.render(scene.path(step), intrinsics(name), SIZES[name])


def test_maps_agree_with_each_other(name):
    scene, frame = shot(name, 0)
    assert frame.rgb.shape == (*frame.depth.shape, 3) == (*SIZES[name][::-1], 3) and frame.rgb.dtype == np.uint8
    sky = np.isinf(frame.depth)
    np.testing.assert_array_equal(frame.object_id == -1, sky)
    assert {scene.class_names[index] for index in frame.classes[sky]} <= {"sky"}
    for thing in np.unique(frame.object_id):  # an object is of one class
        assert len(np.unique(frame.classes[frame.object_id == thing])) == 1
    np.testing.assert_allclose(np.linalg.norm(frame.normals, axis=-1), ~sky, atol=1e-9)
    u, v = np.meshgrid(*map(np.arange, SIZES[name]))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics(name)).T
    assert ((frame.normals * rays * [-1, -1, 1]).sum(axis=-1) > -1e-9).all()  # facing; z of normals is to the camera


def test_edges_are_where_objects_or_normals_change(name):
    _, frame = shot(name, 3)
    expected = np.zeros_like(frame.edges)
    for y, x in np.ndindex(*expected.shape):
        for n in ((y, x + 1), (y + 1, x)):
            if n[0] < expected.shape[0] and n[1] < expected.shape[1]:
                bent = frame.object_id[n] >= 0 and frame.normals[y, x] @ frame.normals[n] < np.cos(np.radians(30))
                if frame.object_id[y, x] != frame.object_id[n] or bent:
                    expected[y, x] = expected[n] = True
    np.testing.assert_array_equal(frame.edges, expected)
    assert 0.02 < frame.edges.mean() < 0.5


def test_styles_differ_in_looks_alone(name):
    (_, source), (_, target), (_, other) = shot(name, 5), shot(name, 5, style="target"), shot(name, 6)
    for map_ in ("depth", "normals", "object_id", "classes", "edges"):
        np.testing.assert_array_equal(getattr(source, map_), getattr(target, map_))
    assert np.abs(source.rgb.astype(int) - target.rgb).mean() > 15 and (source.classes != other.classes).mean() > 0.1


def test_a_picture_does_not_depend_on_the_rest_of_it(name):
    scene = make_scene(2, outdoor=FORMATS[name].outdoor)
    whole, part = (scene.render(scene.path(0), 2 * intrinsics(name), (400, height)) for height in (200, 50))
    for map_ in ("depth", "normals", "object_id", "classes"):
        np.testing.assert_allclose(getattr(whole, map_)[:50], getattr(part, map_), rtol=1e-9, atol=1e-12)
    assert np.abs(whole.rgb[:45].astype(int) - part.rgb[:45]).max() <= 1  # but for the lens along the border


@pytest.mark.slow
def test_many_scenes_are_fit_to_learn_from(name):
    depth, classes, doubtful = [], [], []
    for seed in range(40):
        scene, frame = shot(name, seed, step=seed % 31)
        depth.append(frame.depth)
        classes.append(frame.classes)
        # Flat surfaces have normals with z clearly positive: the sign of one computed from depth is certain.
        view = View([surface.shape for surface in scene.surfaces], scene.path(seed % 31), intrinsics(name))
        index, _ = view.cast(view.rays(np.argwhere(frame.depth.T > 0)))  # u by u
        flat = np.array([isinstance(surface.shape, Plane | Box) for surface in scene.surfaces] + [False])[index]
        doubtful.append((frame.normals[..., 2].T.ravel()[flat] < 0.02).mean())
    assert np.mean(doubtful) < 0.002  # thin slivers
    shares = np.bincount(np.ravel(classes), minlength=len(scene.class_names)) / np.size(classes)
    assert (shares > 0.02).sum() >= 6 and shares.max() < 0.45 and (shares > 0).all()
    assert np.min(depth) > 0.35  # the camera never runs into anything
    near, far = np.percentile(np.ravel(depth)[np.ravel(depth) < 80], (10, 90))
    assert far > (4 if FORMATS[name].outdoor else 2) * near
