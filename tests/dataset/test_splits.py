import logging

import numpy as np
import pytest

from dataset.build import DatasetUse, build_dataset
from dataset.splits import evenly_spaced, fixed_subset, random_subset, shuffled_split
from tests.helpers.dataset_files import config, write_cityscapes, write_synthia, write_vkitti2
from utils.errors import UserError


def names_of(cfg, split, **options):
    dataset = build_dataset(DatasetUse(cfg=cfg, split=split, tasks=(), training=split != "val", **options), seed=0)
    return [dataset.filename(i) for i in range(len(dataset))]


@pytest.mark.parametrize("seed", [0, 42, -1])
def test_train_and_val_are_disjoint_and_cover_everything(seed):
    names = [f"{i:03d}" for i in range(203)]
    train = shuffled_split(names, split="train", seed=seed)
    val = shuffled_split(names[::-1], split="val", seed=seed)
    assert len(train) == 162 and len(val) == 41
    assert sorted(train + val) == names == shuffled_split(names, split="all", seed=seed)


def test_the_split_depends_on_the_seed_alone_and_never_changes():
    names = list("abcdefghij")
    assert shuffled_split(names, split="val", seed=42) == ["d", "g"]  # a split of published numbers: must stay
    splits = {tuple(shuffled_split(names, split="val", seed=seed)) for seed in range(20)}
    assert len(splits) > 5


def test_groups_stay_on_one_side():
    names = [f"{scene}/{frame}" for scene in "abcde" for frame in range(4)]
    train = shuffled_split(names, split="train", seed=3, group=lambda name: name[0])
    val = shuffled_split(names, split="val", seed=3, group=lambda name: name[0])
    assert len({name[0] for name in val}) == 1 and len(val) == 4
    assert not {name[0] for name in train} & {name[0] for name in val}


def test_evenly_spaced_starts_at_the_first_and_never_repeats():
    assert evenly_spaced(10, 3) == [0, 3, 6]
    assert evenly_spaced(10, 10) == list(range(10))
    assert evenly_spaced(3, 8) == [0, 1, 2]


def test_subsets_are_drawn_among_annotated_samples():
    annotated = np.array([True, False] * 10)
    subset = random_subset(annotated, size=4, seed=1)
    assert subset.sum() == 4 and not (subset & ~annotated).any()
    np.testing.assert_array_equal(subset, random_subset(annotated, size=4, seed=1))
    assert any((random_subset(annotated, size=4, seed=seed) != subset).any() for seed in range(2, 6))
    np.testing.assert_array_equal(np.flatnonzero(fixed_subset(annotated, indices=[3, 0])), [0, 6])


def test_subsets_larger_than_the_labelled_images_are_refused():
    with pytest.raises(UserError, match="asks for 3 labelled images, there are 2"):
        random_subset(np.array([True, True, False]), size=3, seed=0)
    with pytest.raises(UserError, match="lists index 2, there are 2 labelled images"):
        fixed_subset(np.array([True, True, False]), indices=[0, 2])


def test_synthia_and_vkitti2_splits_on_disk_are_disjoint(tmp_path):
    write_synthia(tmp_path / "sy", count=10)
    synthia = config("synthia", tmp_path / "sy", 16, (64, 38))
    assert len(names_of(synthia, "train")) == 8 and len(names_of(synthia, "val")) == 2
    assert sorted(names_of(synthia, "train") + names_of(synthia, "val")) == names_of(synthia, "all")
    # the training seed (0 above) has no part in it, the dataset seed has
    other = config("synthia", tmp_path / "sy", 16, (64, 38), dataset_seed=7)
    assert names_of(other, "val") != names_of(synthia, "val")


def test_vkitti2_variations_of_a_frame_and_whole_scenes_stay_together(tmp_path):
    variations = ("15-deg-left", "rain")
    write_vkitti2(tmp_path, scenes=("Scene01", "Scene02", "Scene18"), variations=variations, frames=4)
    by_frame = config("vkitti2", tmp_path, 14, (62, 19), variations=list(variations))
    train, val = names_of(by_frame, "train"), names_of(by_frame, "val")
    assert len(train) == 18 and len(val) == 6
    frames = [{(name[:7], name[-5:]) for name in part} for part in (train, val)]
    assert not frames[0] & frames[1]
    by_scene = config("vkitti2", tmp_path, 14, (62, 19), split_by="scene")
    scenes = [{name[:7] for name in names_of(by_scene, split)} for split in ("train", "val")]
    assert len(scenes[0]) == 2 and len(scenes[1]) == 1 and not scenes[0] & scenes[1]
    assert all("/15-deg-left/" in name for name in names_of(by_scene, "all"))


@pytest.fixture
def street(tmp_path):
    names = tuple(f"train/aachen/aachen_{i:06d}_000019" for i in range(6))
    write_cityscapes(tmp_path, names=names + tuple(name.replace("train", "val") for name in names))
    return tmp_path


def test_subset_keeps_the_others_without_labels_or_drops_either(street):
    def labelled(**options):
        cfg = config("cityscapes", street, 19, (64, 32), **options)
        dataset = build_dataset(DatasetUse(cfg=cfg, split="train", tasks=("semseg", "depth"), training=True), seed=0)
        samples = [dataset[i] for i in range(len(dataset))]
        assert all(sample["depth_mask"].any() for sample in samples)
        return {s["filename"][-13:-7]: bool((s["semseg"] != 250).any()) for s in samples}

    fixed = {"mode": "fixed", "subset": [1, 4]}
    both = labelled(restrict_to_subset=fixed)
    assert both == {f"{i:06d}": i in (1, 4) for i in range(6)}
    assert labelled(restrict_to_subset=fixed, load_unlabeled=False) == {"000001": True, "000004": True}
    assert list(labelled(restrict_to_subset=fixed, load_labeled=False)) == ["000000", "000002", "000003", "000005"]
    drawn = labelled(restrict_to_subset={"mode": "random", "n_subset": 2})
    assert sum(drawn.values()) == 2 and len(drawn) == 6
    assert not any(labelled(load_semantic_gt=False).values())


def test_validation_keeps_all_labels_and_takes_evenly_spaced_samples(street):
    options = {"restrict_to_subset": {"mode": "fixed", "subset": [0]}, "load_labeled": False, "num_val_samples": 3}
    cfg = config("cityscapes", street, 19, (64, 32), **options)
    dataset = build_dataset(DatasetUse(cfg=cfg, split="val", tasks=("semseg",), training=False), seed=0)
    assert [dataset.filename(i)[-13:-7] for i in range(3)] == ["000000", "000002", "000004"] and len(dataset) == 3
    assert all((dataset[i]["semseg"] != 250).any() for i in range(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restrict_to_subset": {"n_subset": 7}}, r"data\.source\.restrict_to_subset\.n_subset: asks for 7 .* are 6"),
        ({"restrict_to_subset": {"mode": "fixed", "subset": [6]}}, r"data\.source\.restrict_to_subset\.subset: .* 6,"),
        ({"load_labeled": False}, r"data\.source\.path: no sample of the split 'train' of cityscapes"),
    ],
)
def test_subsets_that_cannot_be_name_their_config_key(street, options, message):
    with pytest.raises(UserError, match=message):
        names_of(config("cityscapes", street, 19, (64, 32), **options), "train", section="data.source")


def test_an_empty_split_is_the_users_mistake(tmp_path):
    write_vkitti2(tmp_path, scenes=("Scene01",), frames=3)
    cfg = config("vkitti2", tmp_path, 14, (62, 19), split_by="scene")
    with pytest.raises(UserError, match="no sample of the split 'train' of vkitti2"):
        names_of(cfg, "train")


def test_a_val_split_the_dataset_does_not_have_is_named(tmp_path, caplog):
    write_synthia(tmp_path, count=5)
    cfg = config("synthia", tmp_path, 16, (64, 38), val_split="test")
    with pytest.raises(UserError, match=r"data\.val_split: synthia is split into train, val, all, got 'test'"):
        names_of(cfg, "val")
    with caplog.at_level(logging.WARNING):
        assert names_of(config("synthia", tmp_path, 16, (64, 38), val_split="train"), "val")
    assert not caplog.records
