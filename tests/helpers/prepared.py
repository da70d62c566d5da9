"""Experiments on tiny datasets in the formats of the real ones, for the tests of prepared data, and what they read."""

from pathlib import Path
from unittest.mock import patch

import torch

from dataset.base import DenseDataset
from dataset.experiment import open_datasets
from dataset.files import DatasetFiles
from tests.helpers.runs import ROOT
from utils.config.load import Experiment, load_experiment

NAMES = (
    "train/aachen/aachen_000000_000019", "train/aachen/aachen_000001_000019", "train/ulm/ulm_000000_000019",
    "val/bonn/bonn_000000_000019",
)  # fmt: skip
# Name -> (experiment file, base, section of the config for each dataset)
FILES = {
    "fs": ("cityscapes/resnet101_ours_SDN.yml", "cityscapes/fs_bs2.yml", {"data": "cityscapes"}),
    "semseg": ("cityscapes/resnet101_STL_S.yml", "cityscapes/fs_bs2.yml", {"data": "cityscapes"}),
    "video": ("cityscapes/monodepth/resnet101_ours_SD.yml", None, {"data": "cityscapes"}),
    "synthia": ("synthia/resnet101_ours_SD.yml", "synthia/fs_bs2.yml", {"data": "synthia"}),
    "vkitti2": ("vkitti2/resnet101_ours_SDN.yml", "vkitti2/fs_bs2.yml", {"data": "vkitti2"}),
    "nyudv2": ("nyudv2/resnet101_ours_SDNE.yml", "nyudv2/fs_bs2.yml", {"data": "nyudv2"}),
    "depth only": ("nyudv2/resnet101_STL_D.yml", "nyudv2/fs_bs2.yml", {"data": "nyudv2"}),
    "adaptation": (
        "da/sy2cs/resnet101_ours_SD.yml",
        "da/sy2cs/fs_bs2.yml",
        {"data.source": "synthia", "data.target": "cityscapes"},
    ),
}
AUGMENTED = {
    "crop_w": 16,
    "crop_h": 16,
    "augmentations": "{random_horizontal_flip: 0.5, color_aug: true}",
}


def settings(
    name: str,
    roots: Path,
    *overrides: str,
    prepared: Path | None = None,
    size: tuple[int, int] = (32, 32),
    **data: object,
) -> list[str]:
    """Overrides of an experiment of `FILES` for the datasets in `roots`; `data` are keys of each dataset."""
    values = {"width": size[0], "height": size[1], "crop_w": "null", "crop_h": "null"} | data
    values |= {} if prepared is None else {"prepared": prepared}
    pairs = []
    for section, dataset in FILES[name][2].items():
        pairs += [f"{section}.{key}={value}" for key, value in ({"path": roots / dataset} | values).items()]
    return [*pairs, "training.logdir=nowhere", "training.n_workers=2", *overrides]


def words(name: str, roots: Path, *overrides: str, **options: object) -> list[str]:
    """Command line of the experiment of `settings(...)`."""
    config, base, _ = FILES[name]
    line = ["--config", str(ROOT / "configs" / config)] + (["--base", str(ROOT / "configs" / base)] if base else [])
    return line + [word for value in settings(name, roots, *overrides, **options) for word in ("--set", value)]


def experiment(name: str, roots: Path, *overrides: str, **options: object) -> Experiment:
    """The experiment of `settings(...)`, loaded."""
    config, base, _ = FILES[name]
    return load_experiment(
        ROOT / "configs" / config,
        base=ROOT / "configs" / base if base else None,
        overrides=settings(name, roots, *overrides, **options),
    )


def open_all(experiment: Experiment) -> list[DenseDataset]:
    """Every dataset that training and evaluating the experiment read."""
    datasets = open_datasets(experiment)
    return [each for each in (datasets.train, datasets.target, datasets.validation) if each is not None]


def assert_same(first: dict, second: dict) -> None:
    """Two samples are equal to the last bit, in all keys."""
    assert list(first) == list(second)
    for key, value in first.items():
        if torch.is_tensor(value):
            assert value.dtype == second[key].dtype and torch.equal(value, second[key]), key
        else:
            assert value == second[key], key


def assert_same_samples(prepared: Experiment, plain: Experiment, epochs: int = 3) -> int:
    """Both experiments read the same samples, the first one without decoding a file; gives their number."""
    count = 0
    for first, second in zip(open_all(prepared), open_all(plain), strict=True):
        assert len(first) == len(second) > 0
        for epoch in range(epochs):
            for index in range(len(first)):
                with patch.object(DatasetFiles, "read", side_effect=AssertionError("a file was decoded")):
                    sample = first[epoch, index]
                assert_same(sample, second[epoch, index])
        count += len(first)
    return count
