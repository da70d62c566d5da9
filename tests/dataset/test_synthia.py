import numpy as np
import pytest

from dataset.build import DatasetUse, build_dataset
from dataset.labels import label_set
from tests.helpers.dataset_files import config, write_image, write_synthia


def build(root, *, split="all", tasks=("semseg", "depth"), size=(64, 38), **options):
    cfg = config("synthia", root, 16, size, **options)
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=False), seed=0)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"labels": "parsed_LABELS", "depth": "Depth"},
        {"labels": "parsed_LABELS", "one_channel": True},
        {"labels": "GT"},
    ],
)
def test_reads_what_is_on_disk_in_every_layout(tmp_path, layout):
    written = write_synthia(tmp_path, count=3, **layout)
    samples = build(tmp_path)
    assert [samples.filename(i) for i in range(3)] == ["0000000", "0000001", "0000002"]
    for index in range(3):
        sample, arrays = samples[index], written[samples.filename(index)]
        np.testing.assert_array_equal(sample["image"].permute(1, 2, 0).mul(255).round(), arrays["image"])
        np.testing.assert_array_equal(sample["semseg"], label_set("synthia", 16).table[arrays["semseg"]])
        np.testing.assert_allclose(sample["depth"][0], arrays["depth"] / 100, rtol=1e-6)
        np.testing.assert_array_equal(sample["depth_mask"][0], arrays["depth"] > 0)


def test_the_far_plane_is_a_measured_value(tmp_path):
    write_synthia(tmp_path, count=1)
    sample = build(tmp_path)[0]
    assert not sample["depth_mask"][0, 0, 0] and sample["depth_mask"][0, 0, 1]
    assert sample["depth"][0, 0, 1] == np.float32(655.35)


def test_gt_labels_come_before_parsed_labels(tmp_path):
    write_synthia(tmp_path, count=1)
    write_image(tmp_path / "parsed_LABELS" / "0000000.png", np.full((38, 64), 1, np.uint8))
    assert len(build(tmp_path)[0]["semseg"].unique()) > 5
