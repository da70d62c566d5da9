"""A small valid experiment for each setting, as plain dicts that a test changes, and ways to load them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dataset.labels import label_set
from training.tasks import Task, build_tasks
from utils.config.load import Experiment, load_experiment
from utils.config.schema.loss import LossConfig
from utils.errors import UserError


def head(channels: int, **kwargs: Any) -> dict[str, Any]:
    return {"head": "padnet+", "kwargs": {"num_out_ch": channels, "active_scales": [0, 1], **kwargs}}


def task_loss(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"loss": name, "kwargs": {"scales": [0, 1], **kwargs}}


def build_task(name: str, loss: str | None = None, **kwargs: Any) -> Task:
    """A task of Cityscapes' 7 classes with a loss of its own, or its usual one."""
    usual = {"semseg": "cross_entropy", "depth": "berhu", "disp": "ssde", "normals": "gt_normals", "edges": "edges"}
    section = LossConfig.model_validate({"tasks": {name: {"loss": loss or usual[name], "kwargs": kwargs}}})
    return build_tasks(section, label_set("cityscapes", 7))[name]


def supervised() -> dict[str, Any]:
    """FS: DenseMTL on Cityscapes, segmentation and depth."""
    return {
        "data": {
            "dataset": "cityscapes", "path": "/data", "n_classes": 16, "width": 128, "height": 64,
            "train_bs": 2, "valid_bs": 1,
        },
        "training": {"logdir": "/logs", "iterations": 10},
        "setup": {
            "name": "ours-cxatt",
            "model": {"backbone": "resnet101", "tasks": {"semseg": head(16), "depth": head(1)}},
            "loss": {
                "tasks": {"semseg": task_loss("cross_entropy", weight=50), "depth": task_loss("berhu")},
                "kwargs": {"baselines": {"semseg": 78, "depth": 5.33}},
            },
            "lr": {"default": 1e-4, "backbone": 1e-5},
        },
        "optim": {"name": "SGD", "kwargs": {"momentum": 0.9}},
        "scheduler": {"name": "step", "kwargs": {"step_size": 5}},
    }  # fmt: skip


def with_tasks(**tasks: tuple[int, str]) -> dict[str, Any]:
    """The FS example with other tasks: name = (channels, loss)."""
    config = supervised()
    config["setup"]["model"]["tasks"] = {task: head(channels) for task, (channels, _) in tasks.items()}
    config["setup"]["loss"] = {"tasks": {task: task_loss(loss) for task, (_, loss) in tasks.items()}}
    return config


def nyudv2() -> dict[str, Any]:
    config = with_tasks(semseg=(40, "cross_entropy"), depth=(1, "berhu"), normals=(3, "gt_normals"), edges=(2, "edges"))
    config["data"] |= {"dataset": "nyudv2", "n_classes": 40}
    return config


def baseline() -> dict[str, Any]:
    config = supervised()
    config["setup"]["name"] = "baseline"
    config["setup"]["model"]["tasks"] = {"semseg": {"head": "deeplab", "kwargs": {"num_out_ch": 16}}}
    config["setup"]["loss"] = {"tasks": {"semseg": {"loss": "cross_entropy"}}}
    return config


def padnet() -> dict[str, Any]:
    config = supervised()
    config["setup"]["name"] = "padnet"
    config["setup"]["model"]["tasks"]["depth"]["auxiliary"] = True
    tasks = config["setup"]["loss"]["tasks"]
    tasks["semseg"]["kwargs"]["scales"] = [0, 2]
    tasks["depth"]["kwargs"]["scales"] = [2]
    return config


def video() -> dict[str, Any]:
    """SDE: disparity from video."""
    config = supervised()
    config["data"] |= {"load_sequences": True, "frame_ids": [0, -1, 1], "num_scales": 4}
    config["setup"]["name"] = "ours-cxatt_monodepth"
    config["setup"]["lr"] = {"default": 1e-4, "main.backbone": 1e-5, "monodepth.pose_net": 1e-6}
    disp = head(1, is_regression=True) | {}
    disp["kwargs"]["active_scales"] = [0, 1, 2, 3]
    config["setup"]["model"]["tasks"] = {"semseg": head(16), "disp": disp}
    semseg = config["setup"]["loss"]["tasks"]["semseg"]
    config["setup"]["loss"] = {"tasks": {"semseg": semseg, "disp": task_loss("ssde", scales=[0, 1, 2, 3])}}
    return config


def adaptation() -> dict[str, Any]:
    """DA: SYNTHIA to Cityscapes."""
    config = supervised()
    config["data"] = {
        "n_classes": 16, "width": 128, "height": 64, "train_bs": 2, "valid_bs": 1,
        "source": {"dataset": "synthia", "path": "/data/synthia"},
        "target": {"dataset": "cityscapes", "path": "/data/cityscapes"},
    }  # fmt: skip
    config["training"]["da"] = {"doda": True, "ent_align": [1, 0]}
    return config


def load(folder: Path, config: dict[str, Any] | str, *overrides: str, **options: Any) -> Experiment:
    """Write `config` to a file and load it."""
    path = folder / "experiment.yml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    return load_experiment(path, overrides=overrides, **options)


def errors(folder: Path, config: dict[str, Any] | str, *overrides: str, **options: Any) -> list[str]:
    """The lines of the error that loading `config` gives, without the first, which must count them."""
    with pytest.raises(UserError) as caught:
        load(folder, config, *overrides, **options)
    first, *lines = str(caught.value).split("\n  ")
    count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
    assert first == f"{folder / 'experiment.yml'}: {count}"
    return lines
