import numpy as np
import pytest

from dataset.build import DatasetUse, build_dataset
from tests.helpers.dataset_files import config, write_vkitti2
from utils.errors import UserError


def build(root, *, split="all", tasks=("semseg", "depth"), n_classes=14, size=(62, 19), **options):
    cfg = config("vkitti2", root, n_classes, size, **options)
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=False), seed=0)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("class_folder", ["classSegmentation", "classsegmentation", "ClassSegmentation"])
def test_reads_what_is_on_disk_in_every_layout(tmp_path, separate, class_folder):
    written = write_vkitti2(tmp_path, separate=separate, class_folder=class_folder, frames=2)
    samples = build(tmp_path)
    names = [samples.filename(i) for i in range(len(samples))]
    assert names == sorted(written) and names[0] == "Scene01/15-deg-left/00000"
    for index, name in enumerate(names):
        sample, arrays = samples[index], written[name]
        difference = sample["image"].permute(1, 2, 0).mul(255).round().numpy() - arrays["image"]
        assert np.abs(difference).mean() < 4  # JPEG; another frame's differs by tens
        expected = arrays["semseg"].copy()
        expected[1, 0] = 250  # a colour of no class
        np.testing.assert_array_equal(sample["semseg"], expected)
        np.testing.assert_allclose(sample["depth"][0], arrays["depth"] / 100, rtol=1e-6)
        np.testing.assert_array_equal(sample["depth_mask"][0], arrays["depth"] > 0)
        assert sample["depth"][0, 0, 1] == np.float32(655.35)  # sky, the far plane


def test_eight_classes_merge_ids(tmp_path):
    written = write_vkitti2(tmp_path, scenes=("Scene06",), frames=1)
    semseg = build(tmp_path, n_classes=8)[0]["semseg"].numpy()
    ids = written["Scene06/15-deg-left/00000"]["semseg"]
    ids[1, 0] = 0
    assert set(semseg[(ids >= 11)]) == {7} and set(semseg[(ids == 2) | (ids == 3)]) == {5}
    assert set(semseg[(ids == 0) | (ids == 6) | (ids == 10)]) == {250}


def test_chosen_variations_only(tmp_path):
    write_vkitti2(tmp_path, variations=("15-deg-left", "clone", "fog"), frames=2)
    assert len(build(tmp_path)) == 4
    both = build(tmp_path, variations=["clone", "fog"])
    assert {both.filename(i).split("/")[1] for i in range(len(both))} == {"clone", "fog"} and len(both) == 8


def test_an_absent_variation_is_named(tmp_path):
    write_vkitti2(tmp_path, frames=1)
    with pytest.raises(UserError, match=r"^data\.path: .*no Scene<xx>/sunset in it, which variations asks for"):
        build(tmp_path, variations=["15-deg-left", "sunset"])


def test_a_scene_without_labels_names_its_sample(tmp_path):
    write_vkitti2(tmp_path, separate=True, frames=1)
    (tmp_path / "classSegmentation" / "Scene02").rename(tmp_path / "away")
    with pytest.raises(UserError, match="sample Scene02/15-deg-left/00000 has an image but no folder of its semseg"):
        list(build(tmp_path))
