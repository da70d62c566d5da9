"""Runs of `main.py` for the end-to-end tests: a small network on the demo world, in this process or in another."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import main
from dataset.prepare.__main__ import main as prepare_main
from training.adaptation import Adaptation
from training.supervised import Supervised
from training.video_depth import VideoDepthTraining
from utils.config.load import Experiment, Purpose, load_experiment
from utils.config.yaml_io import read_mapping
from utils.console import LOGGER

ROOT = Path(__file__).resolve().parents[2]
DEMO = ("--base", "configs/demo/fs_bs4.yml", "--config", "configs/demo/resnet18_ours_SDNE.yml")
# On maps as small as these a second thread gains nothing, and where other processes share the machine the threads
# wait for each other ten times as long as they compute.
THREADS = 1
# Small and without surprises: two images of 64x64 a step, a schedule that does not depend on the number of steps, an
# optimizer without state, for small checkpoints.
SMALL = {
    "optim": "{name: SGD, clip_grad_norm: 10}",
    "data.width": 64,
    "data.height": 64,
    "data.train_bs": 2,
    "data.valid_bs": 3,
    "data.n_valid_logged": 1,
    "training.n_workers": 0,
    "training.print_interval": 1,
    "training.checkpoint_interval": 3,
    "training.val_interval": "{0: 100}",
    "scheduler": "{name: step, kwargs: {step_size: 4, gamma: 0.5}}",
}


def arguments(*extra: str, experiment: Sequence[str] = DEMO, wandb: bool = False, **overrides: object) -> list[str]:
    """Command line of a small run; `overrides` are config keys with `__` for the dot."""
    values = SMALL | dotted(overrides)
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return [*experiment, "--device", "cpu", *([] if wandb else ["-w"]), *settings, *extra]


def dotted(overrides: dict[str, object]) -> dict[str, object]:
    """Overrides with the dots of config keys."""
    return {key.replace("__", "."): value for key, value in overrides.items()}


def small_experiment(purpose: Purpose = "train", config: Path | None = None, **overrides: object) -> Experiment:
    """The experiment of `arguments(...)`, loaded; `config` in place of the demo's."""
    values = SMALL | dotted(overrides)
    base, demo = (ROOT / path for path in DEMO[1::2])
    settings = [f"{key}={value}" for key, value in values.items()]
    return load_experiment(config or demo, base=base, overrides=settings, purpose=purpose)


def tiny(config: Path, base: Path | None) -> dict[str, object]:
    """Overrides that make any experiment small: ResNet-18, narrow decoders, images of about an eighth of the size."""
    experiment = (read_mapping(base) if base else {}) | read_mapping(config)
    values: dict[str, object] = {
        "data.train_bs": 2,
        "data.valid_bs": 2,
        "training.n_workers": 0,
        "setup.model.backbone": "resnet18",
        "setup.model.use_dilation": False,
        "setup.model.pretrain": "none",
    }
    data = experiment["data"]
    for prefix, section in (("data", data), *((f"data.{role}", data.get(role, {})) for role in ("source", "target"))):
        for key in ("width", "height", "crop_w", "crop_h"):
            if key in section:
                values[f"{prefix}.{key}"] = max(64, -(-section[key] // 256) * 32)  # a multiple of the output stride
    for task, head in experiment["setup"]["model"]["tasks"].items():
        if head["head"] == "padnet+":
            values[f"setup.model.tasks.{task}.kwargs.num_ch_dec"] = [8, 8, 8, 16, 16]
    return values


def run_here(monkeypatch, *words: str) -> int:
    """`main.py` with a command line, in this process; gives the exit status."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["main.py", *words])
    with _put_back():
        try:
            return main.main()
        except SystemExit as usage:  # argparse
            return usage.code


def train(logs: Path, world: dict[str, str], *words: str) -> Path:
    """Train once for many tests, with variables that hold for this run alone; gives the run folder, alone in `logs`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for variable, value in (world | {"LOG_DIR": str(logs)}).items():
            monkeypatch.setenv(variable, value)
        assert run_here(monkeypatch, *words) == 0
    return only_run_folder(logs)


def prepare_here(*words: str) -> int:
    """`python -m dataset.prepare` with a command line, in this process; gives the exit status."""
    with _put_back():
        return prepare_main(list(words))


@contextmanager
def few_threads() -> Iterator[None]:
    """Computes as a run does, for results that are to be equal to the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _put_back() -> Iterator[None]:
    """Undoes what a run changes for the rest of its process: environment, logger, number of threads."""
    handlers, level, propagate = list(LOGGER.handlers), LOGGER.level, LOGGER.propagate
    try:
        with patch.dict(os.environ), few_threads():
            yield
    finally:
        LOGGER.handlers[:] = handlers
        LOGGER.setLevel(level)
        LOGGER.propagate = propagate


def fails(monkeypatch, capsys, *words: str) -> str:
    """`main.py` in this process, which must end with status 2 and one message, no traceback; gives the message."""
    capsys.readouterr()
    assert run_here(monkeypatch, *words) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "Traceback" not in message
    return message.removeprefix("error: ")


def start(*words: str, **environment: str) -> subprocess.Popen:
    """`main.py` in a process of its own, its output to be read."""
    return subprocess.Popen(
        [sys.executable, "main.py", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str, **environment: str) -> tuple[int, str, str]:
    """`main.py` in a process of its own, to its end: exit status, stdout, stderr."""
    process = start(*words, **environment)
    out, error = process.communicate(timeout=100)
    return process.returncode, out, error


def run_folders(logs: Path) -> list[Path]:
    """The training run folders below LOG_DIR, oldest first."""
    return sorted(path.parent for path in logs.glob("*/*/s*/*/cfg.yml") if path.parents[3].name != "eval")


def only_run_folder(logs: Path) -> Path:
    """The one training run folder below LOG_DIR."""
    (folder,) = run_folders(logs)
    return folder


def read_json(path: Path) -> Any:
    """A file of standard JSON, which has no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """The log of a run folder."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def evaluated(logs: Path) -> Path:
    """The one folder of an evaluation below LOG_DIR."""
    (path,) = logs.glob("*/eval/*/*/*/metrics.json")
    return path.parent


def figures(metrics: dict[str, Any]) -> dict[str, float | None]:
    """Every figure of a `metrics.json` but time and memory under one name."""
    flat = {f"losses.{name}": value for name, value in metrics["losses"].items()}
    flat |= {f"main.{name}": value for name, value in metrics["main"].items()}
    for output, scores in metrics["metrics"].items():
        for name, value in scores.items():
            for label, one in value.items() if isinstance(value, dict) else [("", value)]:
                flat[f"{output}.{name}.{label}"] = one
    return flat


def assert_close(given: dict[str, float | None], expected: dict[str, float | None], tolerance: float) -> None:
    """The same figures, those that are none (None) too."""
    assert given == {
        name: value if value is None else pytest.approx(value, rel=tolerance, abs=tolerance)
        for name, value in expected.items()
    }


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """A file of weights."""
    return torch.load(path, weights_only=True)


def record_steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """A list that from now on gets (batch by stream, losses) of every step, whatever the strategy."""
    steps = []
    for strategy in (Supervised, Adaptation, VideoDepthTraining):

        def backward(self, batches, *, step, share, original=strategy.backward):
            losses = original(self, batches, step=step, share=share)
            steps.append((dict(batches), losses))
            return losses

        monkeypatch.setattr(strategy, "backward", backward)
    return steps


def names_of(steps: Sequence[tuple[dict[str, Any], Any]]) -> list[dict[str, list[str]]]:
    """The names of the images of recorded steps, by stream."""
    return [{stream: batch["filename"] for stream, batch in batches.items()} for batches, _ in steps]


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal to the last bit, nested as they may be."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def files_below(folder: Path) -> dict[str, float]:
    """Every file below a folder by relative path, with the time of its last change."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()
    }
