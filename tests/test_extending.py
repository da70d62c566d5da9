"""The examples of docs/extending.md: their edits are made in a copy of the project, which then trains with each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dataset.demo.generate import generate
from dataset.demo.world import World
from tests.helpers.runs import ROOT, SMALL, THREADS

PAGE = ROOT / "docs/extending.md"
BLOCK = re.compile(r"^<!-- (file|edit): (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Word of the example's data -> tasks with the channels of their predictions
TASKS = {"semseg": ("cross_entropy", 2), "depth": ("berhu", 1), "saliency": ("saliency", 1)}
EXAMPLES = {
    "dataset": ({"dataset": "toy", "n_classes": 2}, ("semseg", "depth"), {}),
    "task": ({"dataset": "nyudv2", "n_classes": 40}, ("depth", "saliency"), {}),
    "backbone": ({"dataset": "toy", "n_classes": 2}, ("depth",), {"setup.model.backbone": "resnext50_32x4d"}),
    "way of training": ({"dataset": "toy", "n_classes": 2}, ("depth",), {"training.noise": 0.1}),
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the project with the page's edits, and data for them."""
    copy = tmp_path_factory.mktemp("extended")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    for name in files:
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    for kind, name, text in BLOCK.findall(PAGE.read_text()):
        if kind == "file":
            assert not (copy / name).exists(), name
            (copy / name).write_text(text)
        else:
            edit(copy / name, text.splitlines(keepends=True))
    nyudv2 = generate(copy / "data", ("nyudv2",), World(scenes=6, size=(64, 64)))["nyudv2"]
    shutil.copytree(nyudv2 / "edge", nyudv2 / "saliency")
    write_toy(copy / "data/toy")
    return copy


def edit(path: Path, lines: list[str]) -> None:
    """Applies a change: lines that begin with a blank stay, with `-` go, with `+` come."""
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +" or line == "\n")
    text = path.read_text()
    assert text.count(before) == 1, f"{path.name} must hold once:\n{before}"
    path.write_text(text.replace(before, after))


def write_toy(root: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/a", "train/b", "val/c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        ids = rng.integers(0, 3, (64, 64), np.uint8)
        maps = {"rgb": rng.integers(0, 256, (64, 64, 3), np.uint8), "ids": ids, "depth": ids.astype(np.uint16) * 300}
        for kind, values in maps.items():
            cv2.imwrite(str(root / f"{name}_{kind}.png"), values)


def test_the_page_has_an_example_of_each_kind():
    titles = re.findall(r"^- \[A (.+)\]", PAGE.read_text(), re.MULTILINE)
    assert titles == list(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_trains_two_steps(extended, tmp_path, example):
    data, tasks, options = EXAMPLES[example]
    heads = {task: {"kwargs": {"num_out_ch": TASKS[task][1], "num_ch_dec": [8, 8, 8, 16, 16]}} for task in tasks}
    config = {
        "data": {"path": f"data/{data['dataset']}", **data},
        "training": {"logdir": str(tmp_path), "iterations": 2},
        "setup": {
            "name": "baseline",
            "model": {"backbone": "resnet18", "pretrain": "none", "use_dilation": False, "tasks": heads},
            "loss": {"tasks": {task: {"loss": TASKS[task][0]} for task in tasks}},
            "lr": {"default": 1e-3},
        },
        "optim": {"name": "Adam"},
    }
    (tmp_path / "experiment.yml").write_text(yaml.safe_dump(config))
    overrides = [word for key, value in (SMALL | options).items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "main.py", "--config", str(tmp_path / "experiment.yml"), "--device", "cpu", "-w"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    run = subprocess.run([*command, *overrides], cwd=extended, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.glob("*/*/s*/*/model_2.pkl"))
