"""W&B without a network, and what a run sends to it. Real offline runs are in `tests/test_main_train.py`."""

import numpy as np
import pytest
import wandb

from training.wandb_logger import WandbLogger


class FakeRun:
    """Stands for a W&B run that could be started."""

    def __init__(self, options):
        self.options = options
        self.id = options["id"] or "new"
        self.logged = []
        self.finished = False

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


@pytest.fixture
def started(monkeypatch):
    """The runs that were started, the last one last; a service that cannot be reached unless offline."""
    runs = []

    def init(**options):
        if options["mode"] != "offline":
            raise wandb.errors.CommError("no connection\nlong explanation")
        runs.append(FakeRun(options))
        return runs[-1]

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return runs


def build(folder, run_id=None) -> WandbLogger:
    return WandbLogger(project="DenseMTL", name="nyudv2/a/s42", folder=folder, config={"seed": 42}, run_id=run_id)


def test_without_network_there_is_one_warning_and_the_run_is_offline(started, tmp_path, caplog):
    build(tmp_path)
    assert caplog.messages == [f"W&B: no connection; the run is recorded offline under {tmp_path} (-w turns W&B off)"]
    (run,) = started
    assert (run.options["mode"], run.options["dir"]) == ("offline", str(tmp_path))
    assert (run.options["project"], run.options["name"]) == ("DenseMTL", "nyudv2/a/s42")
    assert run.options["config"] == {"seed": 42}


@pytest.mark.parametrize(("run_id", "resume"), [(None, None), ("abc", "allow")])
def test_a_resumed_run_has_the_id_it_had(started, tmp_path, monkeypatch, run_id, resume):
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = build(tmp_path, run_id)
    assert (started[0].options["id"], started[0].options["resume"]) == (run_id, resume)
    assert logger.run_id == (run_id or "new")


def test_figures_and_pictures_are_sent_with_their_step(started, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = build(tmp_path)
    logger.log(3, {"train/total": 1.5})
    logger.log_panels(3, {"valid_00000": np.zeros((4, 6, 3), np.uint8)})
    logger.close()
    (first, values), (second, pictures) = started[0].logged
    assert (first, second, values) == (3, 3, {"train/total": 1.5})
    assert isinstance(pictures["valid_00000"], wandb.Image) and pictures["valid_00000"].image.size == (6, 4)
    assert started[0].finished
