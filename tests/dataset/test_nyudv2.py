import numpy as np
import pytest
from PIL import Image

from dataset.build import DatasetUse, build_dataset
from tests.helpers.dataset_files import config, write_nyudv2
from utils.errors import UserError

SDNE = ("semseg", "depth", "normals", "edges")


def build(root, *, split="train", tasks=SDNE, size=(64, 48), **options):
    cfg = config("nyudv2", root, 40, size, **options)
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=False), seed=0)


@pytest.mark.parametrize("arrays", [False, True])
def test_reads_what_is_on_disk_in_both_packs(tmp_path, arrays):
    written = write_nyudv2(tmp_path, arrays=arrays)
    samples = build(tmp_path)
    assert [samples.filename(i) for i in range(len(samples))] == ["0001", "0002"]
    for index in range(2):
        sample, truth = samples[index], written[samples.filename(index)]
        difference = sample["image"].permute(1, 2, 0).mul(255).round().numpy() - truth["image"]
        assert np.abs(difference).mean() < (4 if arrays else 1e-6)
        ids = truth["semseg"].astype(int)
        np.testing.assert_array_equal(sample["semseg"], np.where(ids == 0, 250, ids - 1))
        measured = np.isfinite(truth["depth"]) & (truth["depth"] > 0)
        np.testing.assert_array_equal(sample["depth_mask"][0], measured)
        np.testing.assert_array_equal(sample["depth"][0], np.where(measured, truth["depth"], 0))
        assert (~measured).sum() == 3
        np.testing.assert_array_equal(sample["edges"], truth["edges"])
        mask = sample["normals_mask"][0].numpy()
        assert not mask[:2].any() and mask[2:].all()
        cosine = (sample["normals"].permute(1, 2, 0).numpy() * truth["normals"]).sum(axis=2)
        assert cosine[mask].min() > (1 - 1e-6 if arrays else 1 - 1e-4)
        assert (sample["normals"][:, ~mask] == 0).all()


def test_splits_are_the_lists(tmp_path):
    write_nyudv2(tmp_path)
    assert build(tmp_path, split="val", tasks=()).filename(0) == "0003"
    everything = build(tmp_path, split="all", tasks=())
    assert [everything.filename(i) for i in range(3)] == ["0001", "0002", "0003"]


def test_normals_that_are_no_numbers_are_invalid(tmp_path):
    write_nyudv2(tmp_path, arrays=True)
    path = tmp_path / "normals" / "0001.npy"
    normals = np.load(path).astype(np.float64)
    normals[5, 5, 1] = np.nan
    normals[6, 6, 0] = np.inf
    normals[7, 7] *= 3  # only the direction counts
    np.save(path, normals)
    sample = build(tmp_path, tasks=("normals",))[0]
    assert not sample["normals_mask"][0, 5, 5] and not sample["normals_mask"][0, 6, 6]
    assert sample["normals"].isfinite().all()
    assert sample["normals_mask"][0, 7, 7] and sample["normals"][:, 7, 7].norm() == pytest.approx(1)


def test_a_known_pixel_is_a_known_normal(tmp_path):
    write_nyudv2(tmp_path)
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[..., :2] = 127  # (127 / 255 * 2 - 1, the same, 1): towards the camera
    pixels[0, 0] = (255, 128, 128)  # right
    Image.fromarray(pixels).save(tmp_path / "normals" / "0001.png")
    normals = build(tmp_path, tasks=("normals",))[0]["normals"]
    np.testing.assert_allclose(normals[:, 10, 10], [0, 0, 1], atol=0.005)
    np.testing.assert_allclose(normals[:, 0, 0], [1, 0, 0], atol=0.005)


def test_labels_with_a_palette_are_ids(tmp_path):
    written = write_nyudv2(tmp_path)
    path = tmp_path / "segmentation" / "0001.png"
    image = Image.new("P", (64, 48))
    image.putdata(written["0001"]["semseg"].ravel().tolist())
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    image.save(path)
    assert Image.open(path).mode == "P"
    ids = written["0001"]["semseg"].astype(int)
    np.testing.assert_array_equal(build(tmp_path)[0]["semseg"], np.where(ids == 0, 250, ids - 1))


def test_edges_stay_thin_lines_when_shrunk(tmp_path):
    write_nyudv2(tmp_path)
    edges = np.zeros((48, 64), np.uint8)
    edges[:, 9] = 255
    Image.fromarray(edges).save(tmp_path / "edge" / "0001.png")
    shrunk = build(tmp_path, size=(16, 12), tasks=("edges",))[0]["edges"]
    assert (shrunk[:, 2] == 1).all() and shrunk.sum() == 12


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((48, 64, 2), np.float32), r"expected an array of numbers \[H,W\], found float32 \[48, 64, 2\]"),
        (np.array([["a"] * 64] * 48), r"expected an array of numbers"),
        (np.array([[None] * 64] * 48), r"truncated or corrupt"),  # pickled objects are never loaded
        (np.zeros((24, 32), np.float32), r"32x24 pixels, but the image of sample 0001 has 64x48"),
    ],
)
def test_arrays_that_are_no_depth_are_refused(tmp_path, array, message):
    write_nyudv2(tmp_path)
    np.save(tmp_path / "depth" / "0001.npy", array)
    with pytest.raises(UserError, match=rf"depth/0001.npy: {message}"):
        build(tmp_path, tasks=("depth",))[0]


def test_arrays_with_a_channel_axis_of_one_are_fine(tmp_path):
    written = write_nyudv2(tmp_path)
    np.save(tmp_path / "depth" / "0001.npy", written["0001"]["depth"].astype(np.float64)[..., None])
    sample = build(tmp_path, tasks=("depth",))[0]
    assert sample["depth"].shape == (1, 48, 64) and sample["depth"][0, 20, 20] == written["0001"]["depth"][20, 20]
