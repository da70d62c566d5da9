import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.resize import resize_edges, resize_nearest, resize_rgb
from dataset.transform import SampleTransform, Transform, rgb_to_planes


def nearest_oracle(array, width, height):
    """The source pixel under the centre of each target pixel."""
    rows = np.floor((np.arange(height) + 0.5) * array.shape[0] / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * array.shape[1] / width).astype(int)
    return array[rows][:, columns]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("size", [(31, 20), (7, 9), (80, 50), (61, 37), (122, 10)])
def test_nearest_takes_the_value_under_the_pixel_centre(dtype, channels, size):
    array = (np.random.default_rng(0).random((37, 61, *channels)) * 250).astype(dtype)
    resized = resize_nearest(array, width=size[0], height=size[1])
    assert resized.dtype == dtype
    np.testing.assert_array_equal(resized, nearest_oracle(array, *size))


def test_nothing_is_resampled_at_its_own_size():
    array = np.zeros((4, 6), np.uint8)
    assert resize_nearest(array, width=6, height=4) is array
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_rgb(Image.fromarray(pixels), width=6, height=4), pixels)


def test_images_are_resized_with_lanczos():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((30, 20), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(resize_rgb(Image.fromarray(pixels), width=30, height=20), np.asarray(expected))


def test_thin_edges_survive_shrinking_and_nothing_else_becomes_an_edge():
    edges = np.zeros((40, 60), np.uint8)
    edges[:, 21] = 255
    shrunk = resize_edges(edges, width=20, height=10)
    np.testing.assert_array_equal(shrunk, np.tile(np.arange(20) == 7, (10, 1)))
    assert (resize_nearest(edges, width=20, height=10) == 0).any()  # what nearest would have made of column 21
    grown = resize_edges(edges, width=120, height=40)
    assert set(np.flatnonzero(grown[0])) == {41, 42, 43, 44} and grown.dtype == np.uint8
    np.testing.assert_array_equal(resize_edges(edges, width=60, height=40), edges > 0)
    np.testing.assert_array_equal(resize_edges(edges > 0, width=20, height=10), shrunk)


@pytest.mark.parametrize("size", [(576, 448), (430, 330), (320, 160), (100, 70), (640, 300), (800, 600)])
def test_no_edge_is_lost_whatever_the_size(size):
    rows, columns = np.random.default_rng(0).integers(0, (480, 640), (300, 2)).T
    edges = np.zeros((480, 640), np.uint8)
    edges[rows, columns] = 255
    resized = resize_edges(edges, width=size[0], height=size[1])
    # the target pixel that holds the centre of each edge pixel, or one beside it
    near = cv2.dilate(resized, np.ones((3, 3), np.uint8))
    y = ((rows + 0.5) * size[1] / 480).astype(int)
    x = ((columns + 0.5) * size[0] / 640).astype(int)
    assert near[y, x].all()


def test_images_become_planar_and_in_zero_to_one():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels[0, 0] = (255, 0, 128)
    planes = rgb_to_planes(pixels)
    assert planes.shape == (3, 5, 7) and planes.dtype == np.float32 and planes.flags.c_contiguous
    np.testing.assert_array_equal(planes, np.float32(pixels.transpose(2, 0, 1)) / np.float32(255))


K = np.array([[100.0, 0, 31], [0, 120.0, 17], [0, 0, 1]])


def test_intrinsics_follow_crop_and_flip_by_hand():
    crop = SampleTransform(left=10, top=4, width=40, height=20)
    np.testing.assert_array_equal(crop.intrinsics(K), np.float32([[100, 0, 21], [0, 120, 13], [0, 0, 1]]))
    flipped = SampleTransform(left=10, top=4, width=40, height=20, flip=True)
    np.testing.assert_array_equal(flipped.intrinsics(K), np.float32([[100, 0, 18], [0, 120, 13], [0, 0, 1]]))
    assert flipped.intrinsics(K).dtype == np.float32 and K[0, 2] == 31


@pytest.mark.parametrize("flip", [False, True])
def test_a_point_projects_onto_the_pixel_that_shows_it(flip):
    """Paint the pixel of a known 3D point; after crop and flip, K must project the (mirrored) point onto the paint."""
    point = np.array([0.05, 0.02, 1.0])
    u, v, _ = K @ point
    canvas = np.zeros((48, 64, 3), np.uint8)
    canvas[round(v), round(u)] = 255
    sample = SampleTransform(left=9, top=3, width=50, height=40, flip=flip)
    [[row, column]] = np.argwhere(sample.rgb(canvas)[..., 0])
    mirrored = point * ([-1, 1, 1] if flip else 1)
    np.testing.assert_allclose((sample.intrinsics(K) @ mirrored)[:2], [column, row], atol=0.5)
    [[map_row, map_column]] = np.argwhere(sample.map(canvas[..., 0]))
    assert (map_row, map_column) == (row, column)


def test_flipped_normals_mirror_x():
    normals = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    normals.flags.writeable = False
    flipped = SampleTransform(left=1, top=0, width=3, height=4, flip=True).normals(normals)
    np.testing.assert_array_equal(flipped[0], -normals[0, :, 3:0:-1])
    np.testing.assert_array_equal(flipped[1:], normals[1:, :, 3:0:-1])
    straight = SampleTransform(left=1, top=0, width=3, height=4).normals(normals)
    np.testing.assert_array_equal(straight, normals[:, :, 1:4])


def transform(**options):
    return Transform(width=20, height=10, crop_width=8, crop_height=6, **options)


def test_random_crops_reach_every_position_and_stay_inside():
    rng = np.random.default_rng(0)
    sample = [transform(crop="random", flip=0.25).draw(rng) for _ in range(2000)]
    assert {d.left for d in sample} == set(range(13)) and {d.top for d in sample} == set(range(5))
    assert all((d.width, d.height) == (8, 6) for d in sample)
    assert 0.2 < np.mean([d.flip for d in sample]) < 0.3
    assert all(d.jitter is None for d in sample)


def test_centre_and_no_crop():
    rng = np.random.default_rng(0)
    assert transform(crop="center").draw(rng) == SampleTransform(left=6, top=2, width=8, height=6)
    assert transform().draw(rng) == SampleTransform(left=0, top=0, width=20, height=10)
    assert transform(crop="center").size == (6, 8) and transform().size == (10, 20)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_certain_flips(flip):
    rng = np.random.default_rng(0)
    assert {transform(flip=flip).draw(rng).flip for _ in range(50)} == {bool(flip)}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_maps_are_cut_and_turned(dtype, channels, flip):
    values = (np.random.default_rng(0).random((*channels, 10, 20)) * 250).astype(dtype)
    cut = SampleTransform(left=3, top=2, width=9, height=5, flip=flip).map(values)
    part = values[..., 2:7, 3:12]
    np.testing.assert_array_equal(cut, part[..., ::-1] if flip else part)
    assert cut.dtype == dtype
    if dtype == np.uint8 and not channels:
        image = SampleTransform(left=3, top=2, width=9, height=5, flip=flip).rgb(cv2.merge([values] * 3))
        np.testing.assert_array_equal(image[..., 1], cut)
