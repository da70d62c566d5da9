"""Batches are, to the last bit, what PyTorch makes of the samples, whatever the dataset and whoever loads them."""

import itertools

import pytest
import torch
from torch.utils.data import default_collate

from dataset.build import DatasetUse, build_dataset
from dataset.loader import eval_loader, train_loader
from tests.helpers.dataset_files import config, write_datasets

W, H = 32, 16
STREETS = tuple(f"train/aachen/aachen_{number:06d}_000019" for number in range(3))
CLASSES = {"cityscapes": 19, "synthia": 16, "vkitti2": 14, "nyudv2": 40}
SDNE = ("semseg", "depth", "normals", "edges")
FLIPPED = {"augmentations": {"random_horizontal_flip": 0.5}}
CUT = {"crop_w": 20, "crop_h": 12, "augmentations": {"random_horizontal_flip": 0.5, "color_aug": True}}
VIDEO = {"load_sequences": True, "frame_ids": [0, -1, 1], "num_scales": 3}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    rooms = {"train": ("0001", "0002", "0003"), "val": ("0004",)}
    return write_datasets(tmp_path_factory.mktemp("datasets"), streets=STREETS, **rooms)


def build(roots, name, *, uncropped=False, **options):
    cfg = config(name, roots / name, CLASSES[name], (W, H), **options)
    tasks = SDNE if name == "nyudv2" else SDNE[:2]
    return build_dataset(
        DatasetUse(cfg=cfg, split="train", tasks=tasks, training=True), seed=3, uncropped_frames=uncropped
    )


def assert_same(batch, expected):
    assert batch.keys() == expected.keys()
    for key, value in expected.items():
        if torch.is_tensor(value):
            assert batch[key].dtype == value.dtype and batch[key].shape == value.shape, key
            assert batch[key].is_contiguous() and batch[key].numpy().tobytes() == value.numpy().tobytes(), key
        else:
            assert batch[key] == value, key


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cityscapes", {}),
        ("cityscapes", CUT),
        ("cityscapes", VIDEO),
        ("cityscapes", VIDEO | FLIPPED | {"uncropped": True}),
        ("cityscapes", VIDEO | CUT | {"uncropped": True}),
        ("synthia", CUT),
        ("vkitti2", CUT),
        ("nyudv2", FLIPPED),
        ("nyudv2", CUT),
    ],
)
def test_batches_are_the_samples_side_by_side(roots, name, options, workers):
    samples = build(roots, name, **options)
    loader = train_loader(samples, batch_size=2, workers=workers, seed=5)
    batches = list(itertools.islice(loader, 9))  # whoever keeps batches keeps their values
    chosen = list(itertools.islice(loader.batches, 9))
    for batch, keys in zip(batches, chosen, strict=True):
        assert_same(batch, default_collate([samples[key] for key in keys]))
    assert len({epoch for keys in chosen for epoch, _ in keys}) > 1


def test_memory_of_batches_is_used_again_when_no_view_of_them_is_left(roots):
    loader = train_loader(build(roots, "cityscapes"), batch_size=2, workers=1, seed=5)
    batches = iter(loader)
    kept = next(batches)["image"][0, 0]
    expected = kept.clone()
    addresses = [next(batches)["image"].data_ptr() for _ in range(12)]
    assert len(set(addresses)) < 6 and kept.data_ptr() not in addresses
    assert torch.equal(kept, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_last_batch_of_an_evaluation_is_as_small_as_it_comes(roots, workers):
    samples = build(roots, "nyudv2")
    loader = eval_loader(samples, batch_size=2, workers=workers)
    for _ in range(2):
        for batch, keys in zip(loader, ([0, 1], [2]), strict=True):
            assert_same(batch, default_collate([samples[key] for key in keys]))


def test_nothing_of_a_sample_is_shared_with_another(roots):
    samples = build(roots, "cityscapes", **VIDEO, **CUT, uncropped=True)
    before = samples[0]
    for value in samples[0].values():
        if torch.is_tensor(value):
            value.fill_(1)
    assert_same(samples[0], before)
