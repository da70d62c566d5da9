"""Validation messages: place as written, what was expected, what was given; every mistake at once."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.config_examples import adaptation, errors, load, supervised, video
from utils.config.messages import describe, keys_at, type_at
from utils.config.schema import Config


@pytest.mark.parametrize("config", [supervised(), video(), adaptation()])
def test_the_examples_are_valid(tmp_path: Path, config: dict[str, Any]):
    assert load(tmp_path, config).config.setup.tasks == tuple(config["setup"]["model"]["tasks"])


def test_all_mistakes_are_reported_together(tmp_path: Path):
    config = supervised()
    config["data"]["widht"] = config["data"].pop("width")
    config["setup"]["modle"] = config["setup"].pop("model")
    config["optim"]["name"] = "SDG"
    assert errors(tmp_path, config) == [
        "data.width: missing; expected a whole number above 0",
        "data.widht: unknown key; did you mean 'width'?",
        "setup.model: missing; expected a mapping (`key: value` lines)",
        "setup.modle: unknown key; did you mean 'model'?",
        "optim.name: expected one of SGD, Adam, AdamW, got 'SDG'",
    ]


NUMBER, RATE = "a whole number above 0", "a number of at least 0"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.train_bs=two", f"data.train_bs: expected {NUMBER}, got 'two'"),
        ("data.train_bs=0", f"data.train_bs: expected {NUMBER}, got 0"),
        ("data.train_bs=2.5", f"data.train_bs: expected {NUMBER}, got 2.5"),
        ("data.train_bs=true", f"data.train_bs: expected {NUMBER}, got true"),
        ("data.train_bs=", f"data.train_bs: expected {NUMBER}, got nothing"),
        ("data.crop_w=x", f"data.crop_w: expected {NUMBER}, got 'x'"),
        ("data.path=3", "data.path: expected a text, got 3"),
        ("data.dataset=kitti", "data.dataset: expected one of cityscapes, synthia, vkitti2, nyudv2, got 'kitti'"),
        ("data.load_sequences=maybe", "data.load_sequences: expected true or false, got 'maybe'"),
        ("data.frame_ids=[0, x]", "data.frame_ids.1: expected a whole number, got 'x'"),
        ("data.augmentations=1", "data.augmentations: expected a mapping (`key: value` lines), got 1"),
        (
            "data.augmentations.random_horizontal_flip=2",
            "data.augmentations.random_horizontal_flip: expected a number from 0 to 1, got 2",
        ),
        ("training=[1]", "training: expected a mapping (`key: value` lines), got [1]"),
        (
            "training.val_interval={0: 1, x: 2}",
            "training.val_interval.x: expected a whole number of at least 0 as the key, got 'x'",
        ),
        (
            "training.val_interval={0: 1, 1.5: 2}",
            "training.val_interval.1.5: expected a whole number of at least 0 as the key, got 1.5",
        ),
        ("training.val_interval={0: no}", f"training.val_interval.0: expected {NUMBER}, got false"),
        ("training.resume=3", "training.resume: expected a text or true or false, got 3"),
        ("setup.lr.default=-1", f"setup.lr.default: expected {RATE}, got -1"),
        ("setup.lr.default=.inf", f"setup.lr.default: expected {RATE}, got inf"),
        ("setup.lr={default: 1, 3: 1}", "setup.lr.3: expected a text as the key, got 3"),
        ("loss.tasks={}", "loss.tasks: expected a mapping (`key: value` lines, at least one), got {}"),
        ("setup.model.backbone=vgg", "setup.model.backbone: expected one of resnet18, resnet50, resnet101, got 'vgg'"),
        (
            "setup.model.tasks.depth.kwargs.num_ch_dec=[1, 2]",
            "setup.model.tasks.depth.kwargs.num_ch_dec: expected a list of 5 whole numbers above 0, got [1, 2]",
        ),
        (
            "setup.model.tasks.depth.kwargs.active_scales=[]",
            "setup.model.tasks.depth.kwargs.active_scales: expected a list of whole numbers from 0 to 4 "
            "(at least one), got []",
        ),
        (
            "setup.model.tasks.depth.kwargs.active_scales=[0, 0]",
            "setup.model.tasks.depth.kwargs.active_scales: lists a scale twice: [0, 0]",
        ),
        ("setup.kwargs.enc_layers=[[4, 9]]", "setup.kwargs.enc_layers.0.1: expected a whole number from 0 to 4, got 9"),
        ("optim.kwargs.betas=[0.9]", "optim.kwargs.betas: expected a list of 2 numbers from 0 to below 1, got [0.9]"),
        ("optim.kwargs.betas=[0.9, 1]", "optim.kwargs.betas.1: expected a number from 0 to below 1, got 1"),
        (
            "loss.tasks.semseg.weight=high",
            f"loss.tasks.semseg.weight: expected {RATE} or a list of numbers of at least 0, got 'high'",
        ),
        ("loss.tasks.semseg.weight=[1, high]", f"loss.tasks.semseg.weight.1: expected {RATE}, got 'high'"),
        ("loss.kwargs.gammas.depth=2", "loss.kwargs.gammas.depth: expected one of 0, 1, got 2"),
        (f"data.path={[1] * 40}", f"data.path: expected a text, got {str([1] * 40)[:77]}..."),
    ],
)
def test_wrong_values(tmp_path: Path, override: str, line: str):
    assert errors(tmp_path, supervised(), override) == [line]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("trainng={}", "trainng: unknown key; did you mean 'training'?"),
        ("data.load_sequence=true", "data.load_sequence: unknown key; did you mean 'load_sequences'?"),
        ("data.train_batch=4", "data.train_batch: unknown key; did you mean 'train_bs'?"),
        ("optim.kwargs.beta=[0, 0]", "optim.kwargs.beta: unknown key; did you mean 'betas'?"),
        (
            "loss.kwargs.baselines={depht: 1}",
            "loss.kwargs.baselines.depht: unknown key; did you mean 'depth'?",
        ),
        (
            "setup.model.tasks.segmentation={kwargs: {num_out_ch: 1}}",
            "setup.model.tasks.segmentation: unknown key; valid here: semseg, depth, disp, normals, edges",
        ),
        ("optim.3=9", "optim.3: unknown key; valid here: name, clip_grad_norm, kwargs"),
        ("optim.speed=9", "optim.speed: unknown key; valid here: name, clip_grad_norm, kwargs"),
    ],
)
def test_unknown_keys_get_the_closest_valid_one(tmp_path: Path, override: str, line: str):
    assert errors(tmp_path, supervised(), override) == [line]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("setup.lr={backbone: 1}", "setup: lr needs 'default', the learning rate of all parameters not named"),
        (
            "training.val_interval={10: 1}",
            "training: val_interval must say the interval from step 0, got the steps [10]",
        ),
        ("data.frame_ids=[1]", "data: frame_ids must hold 0 (the labelled frame) and each offset once, got [1]"),
        ("data.crop_w=256", "data: the crop 256x64 is larger than the resized image 128x64 (width x height)"),
        (
            "data.restrict_to_subset={mode: fixed}",
            "data.restrict_to_subset: mode 'fixed' needs subset, the list of indices of labelled images",
        ),
        (
            "data.restrict_to_subset={mode: random}",
            "data.restrict_to_subset: mode 'random' needs n_subset, the number of labelled images",
        ),
        (
            "loss.tasks.semseg.weight=[1]",
            "loss.tasks.semseg: weight lists 1 values for the 2 scales [0, 1]",
        ),
    ],
)
def test_checks_within_a_section(tmp_path: Path, override: str, line: str):
    assert errors(tmp_path, supervised(), override) == [line]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        # shared by source and target: one mistake, one line, where it was written
        ("data.width=x", "data.width: expected a whole number above 0, got 'x'"),
        ("data.widht=1", "data.widht: unknown key; did you mean 'width'?"),
        ("data.augmentations.color_agu=1", "data.augmentations.color_agu: unknown key; did you mean 'color_aug'?"),
        ("data.source.height=x", "data.source.height: expected a whole number above 0, got 'x'"),
        ("data.target.train_bs=1", None),  # a key of `data`, not of a dataset
        ("data.source=3", "data.source: expected a mapping (`key: value` lines), got 3"),
        (
            "data.target.crop_h=128",
            "data.target: the crop 128x128 is larger than the resized image 128x64 (width x height)",
        ),
    ],
)
def test_places_of_source_and_target(tmp_path: Path, override: str, line: str | None):
    (found,) = errors(tmp_path, adaptation(), override)
    if line is None:
        assert found.startswith("data.target.train_bs: unknown key; valid here: dataset, path,")
    else:
        assert found == line


def test_missing_keys_of_source_and_target(tmp_path: Path):
    config = adaptation()
    del config["data"]["height"], config["data"]["target"]["path"]
    assert errors(tmp_path, config) == [
        "data.source.height: missing; expected a whole number above 0",
        "data.target.path: missing; expected a text",
        "data.target.height: missing; expected a whole number above 0",
    ]


def test_missing_keys_of_one_dataset(tmp_path: Path):
    config = supervised()
    del config["data"]["path"], config["data"]["train_bs"]
    assert errors(tmp_path, config) == [
        "data.train_bs: missing; expected a whole number above 0",
        "data.path: missing; expected a text",
    ]


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path):
    assert load(tmp_path, supervised(), "training.iterations=4e4").config.training.iterations == 40000


def test_an_empty_subsection_is_its_default(tmp_path: Path):
    empty = ("data.augmentations=", "setup.kwargs=", "loss.kwargs=", "optim.kwargs=", "scheduler=")
    config = load(tmp_path, supervised(), *empty).config
    assert config.setup.kwargs.stages == [1]
    assert config.scheduler.name == "constant"
    assert config.data.source.augmentations.random_horizontal_flip == 0


def test_keys_at_and_types_of_paths():
    assert keys_at(()) == ["data", "training", "setup", "optim", "scheduler", "loss"]
    assert {"train_bs", "target", "crop_w"} <= set(keys_at(("data",)))
    assert "train_bs" not in keys_at(("data", "source"))
    assert keys_at(("loss", "tasks")) == ["semseg", "depth", "disp", "normals", "edges"]
    assert keys_at(("setup", "lr")) == []
    assert type_at(("training", "nothing", "here")) is None
    assert describe(type_at(("training", "da", "doda"))) == "true or false or a whole number of at least 0"
    assert describe(type_at(("setup", "kwargs", "enc_layers"))) == "a list of lists of whole numbers from 0 to 4"
    assert describe(Config) == "a mapping (`key: value` lines)"
