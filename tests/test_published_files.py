"""The paper's own experiment files: written here in the published form, with its odd spellings, they load and build.

The files of `configs/` hold the same values, but for what is listed at the end.

Keys and values are those of the published files, as far as the paper's repository documents them; the text is ours.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models.build import build_model
from optim.groups import parameter_groups
from tests.helpers.runs import ROOT
from utils.config.load import Experiment, load_experiment
from utils.config.yaml_io import write_mapping

DATASETS = {  # height, width, classes, learning rates of ours
    "cityscapes": (512, 1024, 16, (1e-4, 1e-5)),
    "synthia": (512, 1024, 16, (3e-4, 2e-4)),
    "vkitti2": (320, 1024, 14, (3e-4, 2e-4)),
    "nyudv2": (448, 576, 40, (3e-4, 2e-4)),
}
TASKS = {"S": "semseg", "D": "depth", "N": "normals", "E": "edges"}
CHANNELS = {"depth": 1, "disp": 1, "normals": 3, "edges": 2}
BASELINES = {
    "SD": {"semseg": 0.78, "depth": 5.33},
    "SDN": {"semseg": 76, "depth": 15, "normals": 10},
    "SDNE": {"semseg": 76, "depth": 15, "normals": 10, "edges": 10},
}
GAMMAS = {"semseg": 0, "depth": 1, "disp": 1, "normals": 1, "edges": 1}
WEIGHTS = {"SD": {"semseg": 50, "depth": 1}, "SDN": {"semseg": 100, "depth": 1, "normals": 100}}
WEIGHTS["SDNE"] = WEIGHTS["SDN"] | {"edges": 50}
VARIABLES = ("CITYSCAPES_DIR", "SYNTHIA_DIR", "VKITTI2_DIR", "NYUDV2_DIR", "LOG_DIR")

BASE = """
data:
  n_classes: %(classes)d
  dataset: %(dataset)s
  path: $ENV:%(variable)s/
  dataset_seed: 42
  width: %(width)d
  height: %(height)d
  crop_w: %(width)d
  crop_h: %(height)d
  train_bs: 2
  valid_bs: 2
  n_valid_logged: 4
  n_train_logged: 2
  inverse_depth: True
  max_percentile:
  color_full_scale: 0
  restrict_to_subset:
  load_labeled: True
  load_unlabeled: False
  load_onehot: False
  augmentations: {random_horizontal_flip: 0.5, color_aug: False}
training:
  logdir: $ENV:LOG_DIR/
  n_workers: 2
  seed: 42
  shuffle_trainset: True
  iterations: 40_000
  use_amp: False
  benchmark: True
  detect_anomaly: False
  print_interval: 100
  resume: null
  save_model: True
  save_finished_model: True
  val_interval: {"0": 100, '100': 200, "1000": 2500, "30000": 1000}
optim:
  name: SGD
  clip_grad_norm: 10
  kwargs: {momentum: 0.9, weight_decay: 5e-4}
scheduler:
  name: step
  kwargs: {step_size: 30_000, gamma: 0.1}
"""
ADAPTATION_BASE = """
data:
  n_classes: %(classes)d
  src_split: all
  tgt_split: train
  train_bs: 2
  valid_bs: 2
  restrict_to_subset:
  source:
    {dataset: %(source)s, path: $ENV:%(variable)s, width: %(source_width)d, height: 512, crop_w: 1024, crop_h: 512}
  target: {dataset: cityscapes, path: $ENV:CITYSCAPES_DIR, width: 1024, height: 512, load_semantic_gt: False}
  augmentations: {random_horizontal_flip: 0.5}
optim: {name: Adam, clip_grad_norm: 10, kwargs: {betas: [0.9, 0.98]}}
scheduler: {name: step, kwargs: {step_size: 100_000, gamma: 0.1}}
"""
ADAPTATION_TRAINING = """
training:
  logdir: $ENV:LOG_DIR
  n_workers: 2
  seed: 42
  iterations: 90_000
  max_iterations: 250_000
  print_interval: 50
  val_interval: {'0': 500, '1000': 2500, '30000': 1000}
  resume:
  da: {doda: True, lr_D: 1.0e-4, ent_align: [1, 0], lambda_adv_ent: 0.005, lambda_disc_ent: 1}
"""
VIDEO = """
data:
  n_classes: 16
  dataset: cityscapes
  path: $ENV:CITYSCAPES_DIR
  width: 1024
  height: 512
  crop_h: 512
  crop_w: 512
  crop_center: False
  load_sequences: True
  frame_ids: [0, -1, 1]
  num_scales: 4
  color_full_scale: 0
  only_sequences_with_segmentation: True
  val_only_sequences_with_segmentation: True
  restrict_to_subset:
  train_bs: 2
  valid_bs: 2
  augmentations: {random_horizontal_flip: 0.5, color_aug: True}
training:
  logdir: $ENV:LOG_DIR
  n_workers: 2
  iterations: 40_000
  val_interval: {"0": 100, "100": 2500, "30000": 1000}
optim: {name: Adam, clip_grad_norm: 10, kwargs: {betas: [0.9, 0.999]}}
scheduler: {name: step, kwargs: {step_size: 30_000, gamma: 0.1}}
"""


def head(kind: str, channels: int, scales: list[int], **kwargs: object) -> dict:
    options = {"num_out_ch": channels, "active_scales": scales}
    if kind == "padnet+":
        options |= {"num_ch_dec": [64, 128, 128, 256, 256], "aspp_rates": [6, 12, 18], "intermediate_aspp": True}
    return {"head": kind, "kwargs": options | kwargs}


def task_loss(task: str, dataset: str, classes: int, scales: list[int], weight: float) -> dict:
    names = {"semseg": "cross_entropy", "depth": "berhu", "edges": "edges"}
    own = {"semseg": {"n_classes": classes}, "depth": {"median_scaling": False}, "edges": {"pos_weight": 0.95}}
    name = names.get(task) or ("gt_normals" if dataset == "nyudv2" else "normals")
    return {"loss": name, "kwargs": own.get(task, {}) | {"scales": scales, "weight": weight}}


def setup(letters: str, dataset: str, classes: int, rates: tuple[float, float], scales: list[int]) -> dict:
    """`setup` of an experiment: single-task where there is one letter, else the paper's network."""
    tasks = [TASKS[letter] for letter in letters]
    alone = len(tasks) == 1
    weights = {tasks[0]: 1} if alone else WEIGHTS[letters]
    heads = {t: head("deeplab" if alone else "padnet+", CHANNELS.get(t, classes), scales) for t in tasks}
    losses = {task: task_loss(task, dataset, classes, scales, weights[task]) for task in tasks}
    references = None if alone else {"baselines": BASELINES[letters], "gammas": {task: GAMMAS[task] for task in tasks}}
    exchange = None if alone else {
        "ablation": ["SxTAM", "SA", "add"], "enc_layers": [[4, 3, 2, 1], [0]], "stages": [1],
    }  # fmt: skip
    return {
        "name": "baseline" if alone else "ours-cxatt",
        "model": {"backbone": "resnet101", "use_dilation": [False, False, True], "pretrain": "imnet", "tasks": heads},
        "kwargs": exchange,
        "loss": {"tasks": losses, "kwargs": references},
        "lr": {"default": rates[0], "backbone": rates[1]},
    }


def fully_supervised(dataset: str, letters: str) -> tuple[str, str]:
    height, width, classes, rates = DATASETS[dataset]
    values = {"classes": classes, "dataset": dataset, "variable": f"{dataset.upper()}_DIR", "width": width}
    alone = len(letters) == 1
    section = setup(letters, dataset, classes, (1e-2, 1e-3) if alone else rates, [0] if alone else [0, 1])
    own = {"setup": section}
    if not alone:
        own["optim"] = {"name": "Adam", "clip_grad_norm": 10, "kwargs": {"betas": [0.9, 0.98]}}
    return BASE % (values | {"height": height}), yaml.safe_dump(own, sort_keys=False)


def adaptation(source: str, source_width: int, classes: int) -> tuple[str, str]:
    values = {"source": source, "variable": f"{source.upper()}_DIR", "source_width": source_width, "classes": classes}
    section = setup("SD", source, classes, (2.5e-4, 1.5e-5), [1, 0])
    return ADAPTATION_BASE % values, ADAPTATION_TRAINING + yaml.safe_dump({"setup": section}, sort_keys=False)


def video() -> tuple[None, str]:
    section = setup("SD", "cityscapes", 16, (5e-5, 1e-5), [0, 2])
    scales = [0, 1, 2, 3]
    section["name"] = "ours-cxatt_monodepth"
    section["model"]["pose_kwargs"] = None
    section["model"]["pretrain"] = "mono_cityscapes_1024x512_r101dil_aspp_dec6_lr5_fd2_crop512x512bs4"
    section["model"]["tasks"] = {
        "semseg": head("padnet+", 16, [0, 2]), "disp": head("padnet+", 1, scales, is_regression=True),
    }  # fmt: skip
    limits = {"min_depth": 0.1, "max_depth": 100, "test_min_depth": 1e-3, "test_max_depth": 80}
    repeated = {"batch_size": 2, "width": 1024, "height": 512, "crop_w": 512, "crop_h": 512, "num_scales": 4}
    switches = {"no_ssim": False, "avg_reprojection": False, "disable_automasking": False, "frame_ids": [0, -1, 1]}
    section["loss"] = {
        "tasks": {
            "semseg": task_loss("semseg", "cityscapes", 16, [0, 2], 1),
            "disp": {"loss": "ssde", "kwargs": limits | repeated | switches | {
                "disparity_smoothness": 1e-3, "scales": scales, "weight": 1}},
        },
        "kwargs": {"baselines": {"semseg": 0.78, "disp": 5.33}, "gammas": {"semseg": 0, "disp": 1}},
    }  # fmt: skip
    section["lr"] = {"default": 5e-5, "main.backbone": 1e-5, "monodepth.pose_net": 1e-6}
    return None, VIDEO + yaml.safe_dump({"setup": section}, sort_keys=False)


def published() -> dict[str, tuple[str | None, str]]:
    """(base, experiment) of every published file."""
    files = {f"{d}/STL_{letter}": fully_supervised(d, letter) for d in DATASETS for letter in "SDN"}
    files |= {f"{d}/ours_{letters}": fully_supervised(d, letters) for d in DATASETS for letters in ("SD", "SDN")}
    files |= {"nyudv2/STL_E": fully_supervised("nyudv2", "E"), "nyudv2/ours_SDNE": fully_supervised("nyudv2", "SDNE")}
    files["cityscapes/monodepth/ours_SD"] = video()
    return files | {"da/sy2cs": adaptation("synthia", 1024, 16), "da/vk2cs": adaptation("vkitti2", 1696, 8)}


FILES = published()


def test_these_are_all():
    assert len(FILES) == 25


@pytest.mark.parametrize("name", FILES)
def test_loads_for_every_purpose_builds_and_is_saved_to_the_same(name: str, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(os, "environ", {"HOME": "/home/me"} | {variable: "/data" for variable in VARIABLES})
    base, experiment = FILES[name]
    paths = {"base": tmp_path / "base.yml", "experiment": tmp_path / "experiment.yml"}
    paths["experiment"].write_text(experiment)
    if base is not None:
        paths["base"].write_text(base)

    def load(purpose: str) -> Experiment:
        return load_experiment(paths["experiment"], base=paths["base"] if base else None, purpose=purpose)

    loaded = {purpose: load(purpose) for purpose in ("train", "evaluate", "predict")}
    setup = loaded["train"].config.setup
    with torch.device("meta"):
        network = build_model(setup, pretrained=False, frame_ids=loaded["train"].config.data.source.frame_ids)
    assert network.tasks == setup.tasks
    assert sum(len(group["params"]) for group in parameter_groups(network, setup.lr)) == len(list(network.parameters()))
    clips = "da/" in name and all("optim.clip_grad_norm" in message for message in caplog.messages)
    assert bool(caplog.messages) == clips

    write_mapping(loaded["train"].raw, tmp_path / "cfg.yml")
    assert load_experiment(tmp_path / "cfg.yml").config == loaded["train"].config


# Keys that no value of the network, its losses or its training depends on, or that say again what others do.
IMMATERIAL = re.compile(
    r"data\.(.*\.)?(path|crop_\w|color_full_scale|load_unlabeled|load_semantic_gt|n_\w+_logged)|training\.(logdir|n_workers)"
    r"|setup\.loss\.tasks\.(semseg\.kwargs\.n_classes|disp\.kwargs\.(batch_size|height|width|crop_\w|num_scales|frame_ids))"
)
CHANGED = [  # (files, key, value in configs/)
    ("SD$", "setup.loss.kwargs.baselines.semseg", 78),
    ("nyudv2/ours_SD$", "setup.loss.kwargs.baselines.semseg", 76),
    ("nyudv2/ours_SD$", "setup.loss.kwargs.baselines.depth", 15),
    ("SDNE", "setup.loss.kwargs.gammas.edges", 0),  # F1: higher is better
    ("da/", "setup.loss.kwargs.baselines.semseg", 78),
    ("da/", "setup.loss.tasks.depth.kwargs.median_scaling", True),
    ("da/", "optim.clip_grad_norm", None),  # as the reported figures were made
    ("da/", "training.max_iterations", None),
    ("monodepth", "setup.lr", {"default": 5e-5, "backbone": 1e-5, "monodepth.pose_net": 1e-6}),
    ("monodepth", "data.source.augmentations.color_aug", False),
]


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values, learning rates as one; without what is immaterial."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key != "setup.lr":
            yield from flat(value, f"{key}.")
        elif not IMMATERIAL.fullmatch(key):
            yield key, value


@pytest.mark.parametrize("name", FILES)
def test_our_experiment_has_the_published_values(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "environ", {"HOME": "/home/me"} | {variable: "/data" for variable in VARIABLES})
    paths = [tmp_path / "base.yml", tmp_path / "experiment.yml"]
    for path, text in zip(paths, FILES[name], strict=True):
        path.write_text(text or "{}")
    published = load_experiment(paths[1], base=paths[0] if FILES[name][0] else None).config
    ours = (ROOT / "configs" / (f"{name}/ours_SD" if "da/" in name else name)).with_suffix(".yml")
    ours = ours.with_name(f"resnet101_{ours.name}")
    config = load_experiment(ours, base=next(ours.parent.glob("fs_bs*.yml"), None)).config
    expected = dict(flat(published.model_dump()))
    expected |= {key: value for files, key, value in CHANGED if re.search(files, name) and key in expected}
    assert dict(flat(config.model_dump())) == expected
