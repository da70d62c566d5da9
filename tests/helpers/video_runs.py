"""Runs of depth from video (SDE) for the end-to-end tests: a small network on the demo world's sequences."""

import json
from pathlib import Path
from typing import Any

from tests.helpers.runs import ROOT, arguments, run_here
from training.strategy import Strategy
from training.video_depth import VideoDepthTraining
from utils.config.load import Experiment, load_experiment

CONFIG = Path("configs/demo/monodepth/resnet18_ours_SD.yml")
# Plain SGD has no state, and the best model is the finished one: small checkpoints.
SMALL = {
    "data__width": 128,
    "data__height": 64,
    "optim": "{name: SGD, clip_grad_norm: 10}",
    "training__save_finished_model": False,
}
ADAM = "{name: Adam, clip_grad_norm: 10}"  # the config's
STEPS = 2


def words(*extra: str, iterations: int = STEPS, **overrides: object) -> list[str]:
    """Command line of a small run."""
    options = SMALL | {"training__iterations": iterations} | overrides
    return arguments(*extra, experiment=("--config", str(CONFIG)), **options)


def one_step(monkeypatch, **overrides: object) -> None:
    """A debug run: one step and one validation batch, nothing kept."""
    assert run_here(monkeypatch, *words("--debug", **overrides)) == 0


def experiment(purpose: str = "train", config: Path = CONFIG, **overrides: object) -> Experiment:
    """The experiment of `words(...)`, loaded; `config` in place of the demo's."""
    line = words(**overrides)
    settings = [after for word, after in zip(line, line[1:], strict=False) if word == "--set"]
    return load_experiment(ROOT / config, base=None, overrides=settings, purpose=purpose)


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text())


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """The log of a run folder."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def record_steps(monkeypatch) -> list[tuple[dict, dict]]:
    """A list that from now on gets (batch, losses) of every training step."""
    steps = []
    original = VideoDepthTraining.backward

    def backward(self, batches, *, step, share):
        losses = original(self, batches, step=step, share=share)
        steps.append((batches["source"], losses))
        return losses

    monkeypatch.setattr(VideoDepthTraining, "backward", backward)
    return steps


def record_learned(monkeypatch) -> set[str]:
    """A set that from now on gets the name of every parameter with a gradient other than zero."""
    names = set()
    original = Strategy.update

    def update(self):
        parameters = self.model.named_parameters()
        names.update(name for name, value in parameters if value.grad is not None and value.grad.any())
        original(self)

    monkeypatch.setattr(Strategy, "update", update)
    return names
