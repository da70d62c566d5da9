"""Samples of prepared data are those of the files, whatever the dataset and the options."""

import itertools
import pickle
import shutil

import numpy as np
import pytest
import torch

from dataset.experiment import open_dataset, training_use
from dataset.loader import train_loader
from dataset.prepare.run import prepare
from tests.helpers.dataset_files import write_cityscapes, write_datasets, write_nyudv2
from tests.helpers.prepared import (
    AUGMENTED,
    NAMES,
    assert_same,
    assert_same_samples,
    experiment,
    open_all,
)  # fmt: skip
from tests.helpers.runs import files_below


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_datasets(tmp_path_factory.mktemp("datasets"), streets=NAMES)


POSE = "setup.model.pose_kwargs={provide_uncropped_for_pose: true}"
ALL_FRAMES = {"only_sequences_with_segmentation": False, "frame_ids": "[0, -1]", "num_scales": 4}
SUBSET = "{mode: fixed, subset: [1]}"


@pytest.mark.parametrize(
    ("name", "overrides", "options", "count"),
    [
        ("fs", (), {"size": (48, 32)}, 4),
        ("synthia", (), {}, 10),
        ("vkitti2", (), {}, 10),
        ("nyudv2", (), {}, 3),
        ("depth only", (), {}, 3),
        ("video", (POSE,), {}, 4),
        ("video", (), ALL_FRAMES, 7),  # two of three frames have one before them
        ("video", (), ALL_FRAMES | {"load_unlabeled": False}, 4),
        ("fs", (), {"restrict_to_subset": SUBSET}, 4),
        ("adaptation", (), {}, 10 + 3 + 1),
        ("adaptation", ("training.da.doda=false",), {}, 10 + 1),
    ],
)
def test_equal_those_of_the_files(roots, tmp_path, name, overrides, options, count):
    options = AUGMENTED | options
    prepared = experiment(name, roots, *overrides, prepared=tmp_path, **options)
    prepare(prepared)
    assert assert_same_samples(prepared, experiment(name, roots, *overrides, **options)) == count


def test_of_the_other_pack_of_nyudv2(tmp_path):
    """Depth and normals with zeros, infinities and numbers that are none."""
    write_nyudv2(tmp_path / "nyudv2", arrays=True)
    prepared = experiment("nyudv2", tmp_path, prepared=tmp_path / "prepared")
    prepare(prepared)
    assert_same_samples(prepared, experiment("nyudv2", tmp_path))


def test_of_images_that_are_small_already(tmp_path):
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    write_cityscapes(tmp_path / "cityscapes", names=NAMES, size=(32, 16), image_folder="leftImg8bit_small", maps=False)
    prepared, plain = (
        experiment("fs", tmp_path, prepared=path, size=(32, 16)) for path in (tmp_path / "prepared", None)
    )
    prepare(prepared)
    assert_same_samples(prepared, plain)
    (manifest,) = tmp_path.glob("prepared/*/*/manifest.json")
    assert "leftImg8bit_small/" in manifest.read_text() and "leftImg8bit/" not in manifest.read_text()


def test_of_images_without_camera_files(tmp_path):
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    shutil.rmtree(tmp_path / "cityscapes" / "camera")
    prepared = experiment("semseg", tmp_path, prepared=tmp_path / "prepared")
    prepare(prepared)
    assert_same_samples(prepared, experiment("semseg", tmp_path))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("synthia", {"dataset_seed": 1}),
        ("vkitti2", {"split_by": "scene"}),
        ("fs", {"restrict_to_subset": "{mode: random, n_subset: 1}"}),
        ("fs", {"restrict_to_subset": SUBSET, "load_unlabeled": False}),
        ("fs", {"load_semantic_gt": False}),
        ("fs", {"num_val_samples": 1, "val_split": "train"}),
        ("fs", AUGMENTED),
        ("nyudv2", {"crop_w": 16, "crop_h": 32, "crop_center": True}),
    ],
)
def test_other_options_need_no_new_preparation(roots, tmp_path, name, changes):
    prepare(experiment(name, roots, prepared=tmp_path))
    before = files_below(tmp_path)
    changed = experiment(name, roots, prepared=tmp_path, **changes)
    assert_same_samples(changed, experiment(name, roots, **changes))
    prepare(changed)
    assert files_below(tmp_path) == before


def test_label_sets_share_the_prepared_labels(roots, tmp_path):
    prepare(experiment("fs", roots, prepared=tmp_path))
    before = files_below(tmp_path)
    other = ("data.n_classes=19", "setup.model.tasks.semseg.kwargs.num_out_ch=19")
    assert_same_samples(experiment("fs", roots, *other, prepared=tmp_path), experiment("fs", roots, *other))
    assert files_below(tmp_path) == before


def test_datasets_sizes_and_tasks_share_a_folder(roots, tmp_path):
    """What one experiment adds leaves the others' data as it is, and is not written twice."""
    choices = [("depth only", {}), ("nyudv2", {}), ("nyudv2", {"size": (48, 32)}), ("fs", {}), ("adaptation", {})]
    for name, options in choices:
        prepare(experiment(name, roots, prepared=tmp_path, **options))
    folders = {path.name: len(list(path.glob("part-*"))) for path in tmp_path.iterdir()}
    assert folders == {"nyudv2_32x32": 2, "nyudv2_48x32": 1, "cityscapes_32x32": 1, "synthia_32x32": 1}
    for name, options in choices:
        assert_same_samples(experiment(name, roots, prepared=tmp_path, **options), experiment(name, roots, **options))


def test_source_and_target_may_have_folders_of_their_own(roots, tmp_path):
    own = ("data.source.prepared=" + str(tmp_path / "a"), "data.target.prepared=" + str(tmp_path / "b"))
    prepared = experiment("adaptation", roots, *own)
    prepare(prepared)
    assert [path.name for path in (*(tmp_path / "a").iterdir(), *(tmp_path / "b").iterdir())] == [
        "synthia_32x32",
        "cityscapes_32x32",
    ]
    assert_same_samples(prepared, experiment("adaptation", roots))


def test_a_video_frame_is_stored_once(roots, tmp_path):
    options = {"only_sequences_with_segmentation": False}
    prepare(experiment("video", roots, prepared=tmp_path, **options))
    (part,) = tmp_path.glob("*/part-*")
    # 3 recordings of 3 frames; of validation, which reads no neighbours, the single image
    assert len(np.load(part / "frames.npy", mmap_mode="r")) == 3 * 3 + 1


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_any_number_of_workers(roots, tmp_path, workers):
    prepared, plain = (experiment("nyudv2", roots, prepared=path, **AUGMENTED) for path in (tmp_path, None))
    prepare(prepared)
    loaders = [
        train_loader(open_dataset(each, training_use(each.config)), batch_size=2, workers=count, seed=5)
        for each, count in ((prepared, workers), (plain, 0))
    ]
    for first, second in itertools.islice(zip(*loaders, strict=False), 3):
        assert_same(first, second)


def test_another_process_opens_the_arrays_itself(roots, tmp_path):
    prepared = experiment("nyudv2", roots, prepared=tmp_path)
    prepare(prepared)
    dataset = open_all(prepared)[0]
    expected = dataset[0]
    stored = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    pickled = pickle.dumps(dataset)
    assert len(pickled) < stored / 4
    assert_same(pickle.loads(pickled)[0], expected)


def test_samples_are_not_tied_to_the_files(roots, tmp_path):
    prepared = experiment("nyudv2", roots, prepared=tmp_path)
    prepare(prepared)
    dataset = open_all(prepared)[0]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.npy")}
    sample = dataset[0]
    expected = {key: value.clone() if torch.is_tensor(value) else value for key, value in sample.items()}
    for value in sample.values():
        if torch.is_tensor(value):
            value.zero_()
    assert_same(dataset[0], expected)
    assert {path: path.read_bytes() for path in before} == before
