"""The demo worlds: exact maps that agree with each other, learnable class shares, two styles of one geometry."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from dataset.demo import rendering
from dataset.demo.raycast import View
from dataset.demo.rendering import Frame, boundaries
from dataset.demo.scene import INDOOR_CLASSES, OUTDOOR_CLASSES, Scene, make_scene
from dataset.demo.shapes import Box, Plane
from dataset.demo.writers import FORMATS

SIZES = {"nyudv2": (96, 72), "cityscapes": (128, 64), "synthia": (96, 57), "vkitti2": (160, 48)}


def intrinsics(name: str) -> np.ndarray:
    return FORMATS[name].camera.matrix(width=SIZES[name][0], height=SIZES[name][1])


def scene(name: str, seed: int, style: str = "source") -> Scene:
    return make_scene(seed, style, outdoor=name != "nyudv2")


def shot(name: str, seed: int, *, style: str = "source", step: int = 0) -> Frame:
    world = scene(name, seed, style)
    return world.render(world.path(step), intrinsics(name), SIZES[name])


def rays(name: str) -> np.ndarray:
    """Camera rays [H,W,3] with depth 1."""
    width, height = SIZES[name]
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics(name)).T


@pytest.mark.parametrize("name", SIZES)
def test_maps_are_of_the_documented_form(name):
    frame = shot(name, 0)
    width, height = SIZES[name]
    classes = INDOOR_CLASSES if name == "nyudv2" else OUTDOOR_CLASSES
    assert frame.rgb.shape == (height, width, 3) and frame.rgb.dtype == np.uint8
    assert frame.depth.shape == (height, width) and frame.depth.dtype == np.float64
    assert frame.object_id.dtype == np.int32 and frame.classes.dtype == np.uint8 and frame.edges.dtype == bool
    sky = np.isinf(frame.depth)
    assert (frame.object_id[sky] == -1).all() and (frame.object_id[~sky] >= 0).all()
    assert (frame.normals[sky] == 0).all()
    assert frame.classes.max() < len(classes)
    assert {classes[index] for index in frame.classes[sky]} <= {"sky"}
    for thing in np.unique(frame.object_id):  # an object is of one class
        assert len(np.unique(frame.classes[frame.object_id == thing])) == 1


@pytest.mark.parametrize("name", SIZES)
def test_normals_are_unit_vectors_that_face_the_camera(name):
    for seed in range(3):
        frame = shot(name, seed, step=4)
        seen = np.isfinite(frame.depth)
        np.testing.assert_allclose(np.linalg.norm(frame.normals[seen], axis=-1), 1, atol=1e-9)
        towards_camera = -rays(name) * [1, 1, -1]  # in the convention of normals
        assert ((frame.normals * towards_camera).sum(axis=-1)[seen] > -1e-9).all()


@pytest.mark.parametrize("name", SIZES)
def test_flat_surfaces_have_normals_with_z_clearly_positive(name):
    """So that the sign of a normal computed from depth is certain. Thin slivers are all that may differ."""
    doubtful = []
    for seed in range(6):
        world, step = scene(name, seed), 3 * seed
        frame = world.render(world.path(step), intrinsics(name), SIZES[name])
        view = View([surface.shape for surface in world.surfaces], world.path(step), intrinsics(name))
        index = view.cast(view.rays(pixels(name)))[0].reshape(frame.depth.shape)
        flat = np.array([isinstance(surface.shape, Plane | Box) for surface in world.surfaces] + [False])[index]
        assert flat.mean() > 0.5
        doubtful.append((frame.normals[..., 2][flat] < 0.02).mean())
    assert np.mean(doubtful) < 0.002


def pixels(name: str) -> np.ndarray:
    u, v = np.meshgrid(*map(np.arange, SIZES[name]))
    return np.stack([u, v], axis=-1).reshape(-1, 2)


def test_edges_are_where_objects_or_normals_change():
    frame = shot("nyudv2", 3)
    height, width = frame.edges.shape
    cosine = np.cos(np.radians(30))
    for y in range(height):
        for x in range(width):
            neighbours = [(y + dy, x + dx) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))]
            changes = [
                frame.object_id[y, x] != frame.object_id[n] or frame.normals[y, x] @ frame.normals[n] < cosine
                for n in neighbours
                if 0 <= n[0] < height and 0 <= n[1] < width
            ]
            assert frame.edges[y, x] == any(changes), (y, x)
    assert 0.02 < frame.edges.mean() < 0.4


def test_edges_look_the_same_in_a_mirror():
    frame = shot("cityscapes", 1)
    mirrored = boundaries(frame.object_id[:, ::-1], frame.normals[:, ::-1])
    np.testing.assert_array_equal(mirrored[:, ::-1], frame.edges)


def test_two_tone_sky_and_flat_wall_have_no_edges_inside():
    ids = np.array([[-1, -1, 2], [-1, -1, 2]])
    normals = np.where((ids >= 0)[..., None], [0.0, 0.0, 1.0], 0.0)
    np.testing.assert_array_equal(boundaries(ids, normals), [[False, True, True], [False, True, True]])


def test_depth_has_the_range_of_rooms_and_streets():
    room = np.concatenate([shot("nyudv2", seed, step=5).depth.ravel() for seed in range(8)])
    assert room.min() > 1 and room.max() < 9
    assert np.percentile(room, 90) > 2 * np.percentile(room, 10)
    street = np.concatenate([shot("cityscapes", seed, step=5).depth.ravel() for seed in range(8)])
    near = street[street < 80]
    assert street.min() > 2 and len(near) > 0.8 * len(street)
    assert np.percentile(near, 90) > 4 * np.percentile(near, 10)


@pytest.mark.parametrize("name", ["nyudv2", "synthia"])
def test_the_camera_never_runs_into_anything(name):
    for seed in range(6):
        world = scene(name, seed)
        for step in range(0, 31, 3):
            assert world.render(world.path(step), intrinsics(name), SIZES[name]).depth.min() > 0.35, (seed, step)


@pytest.mark.parametrize("name", SIZES)
def test_several_classes_are_common_and_none_rules(name):
    classes = INDOOR_CLASSES if name == "nyudv2" else OUTDOOR_CLASSES
    counts = sum(np.bincount(shot(name, seed).classes.ravel(), minlength=len(classes)) for seed in range(24))
    shares = counts / counts.sum()
    assert (shares > 0.02).sum() >= 6
    assert shares.max() < 0.45
    assert (shares > 0).all()


@pytest.mark.parametrize("name", ["nyudv2", "cityscapes"])
def test_a_seed_fixes_everything(name):
    first, again, other = shot(name, 5), shot(name, 5), shot(name, 6)
    for field in ("rgb", "depth", "normals", "object_id", "classes", "edges"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert (first.classes != other.classes).mean() > 0.1


@pytest.mark.parametrize("name", ["nyudv2", "cityscapes"])
def test_styles_differ_in_looks_alone(name):
    source, target = shot(name, 5), shot(name, 5, style="target")
    np.testing.assert_array_equal(source.depth, target.depth)
    np.testing.assert_array_equal(source.classes, target.classes)
    assert np.abs(source.rgb.astype(int) - target.rgb).mean() > 15


def test_haze_mixes_in_the_horizon_with_distance():
    hazy = scene("cityscapes", 5, "target")
    clear = replace(hazy, style=replace(hazy.style, haze=np.inf))
    picture = [world.render(world.path(0), intrinsics("cityscapes"), SIZES["cityscapes"]) for world in (hazy, clear)]
    distance = np.linalg.norm(rays("cityscapes"), axis=-1) * picture[0].depth
    through = np.exp(-distance / hazy.style.haze)[..., None]
    horizon = 255 * np.array(hazy.style.horizon) * hazy.exposure
    expected = picture[1].rgb * through + horizon * (1 - through)
    off_edges = ~binary_dilation(picture[0].edges, np.ones((5, 5))) & np.isfinite(distance)
    error = np.abs(picture[0].rgb - expected)[off_edges]
    assert off_edges.mean() > 0.3
    assert np.percentile(error, 99) < 2
    assert (through[np.isfinite(distance)] < 0.6).any()  # the far end of the street is half hidden


def test_unknown_style():
    with pytest.raises(ValueError, match="style 'noir': must be one of source, target"):
        make_scene(0, "noir", outdoor=True)


def test_a_picture_does_not_depend_on_how_it_is_cut_into_chunks(monkeypatch):
    whole = shot("cityscapes", 2)
    monkeypatch.setattr(rendering, "CHUNK", 1000)
    pieces = shot("cityscapes", 2)
    np.testing.assert_array_equal(whole.object_id, pieces.object_id)
    np.testing.assert_allclose(whole.depth, pieces.depth, rtol=1e-12)
    assert np.abs(whole.rgb.astype(int) - pieces.rgb).max() <= 1
