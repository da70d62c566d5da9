"""Training end to end on the demo world: what a run leaves behind, when it validates, what it keeps as the best."""

import dataclasses
import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import pytest
import torch

from loss.multitask import MultiTaskLoss
from models.densemtl import DenseMTL
from tests.helpers.runs import (
    arguments,
    assert_same,
    files_below,
    log_lines,
    only_run_folder,
    read_json,
    run_here,
    train,
    weights_of,
)
from training.evaluator import Evaluator
from training.state import load_state
from training.supervised import Supervised
from utils.config.yaml_io import read_mapping

TASKS = ("semseg", "depth", "normals", "edges")
LOSSES = {"total", *TASKS, *(f"{task}_{scale}" for task in TASKS for scale in (0, 1))}
STEPS = 7
VALIDATED = [2, 4, 6, 7]  # every 2 steps, from step 5 on every 3, and at the end


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    options = {"training__val_interval": "{0: 2, 4: 3}", "data__n_valid_logged": 2, "data__n_train_logged": 1}
    options |= {"training__iterations": STEPS, "optim": "{name: Adam, clip_grad_norm: 10}"}
    return train(tmp_path_factory.mktemp("logs"), world, *arguments(**options))


# --- what a run leaves behind ---


def test_the_folder_holds_what_it_should(finished):
    assert re.fullmatch(r"nyudv2/resnet18_ours_SDNE/s42/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "/".join(finished.parts[-4:]))
    files = {file for file in files_below(finished) if not file.startswith("panels/")}
    assert files == {"cfg.yml", "run.json", "log.jsonl", "metrics.json", "resume.pkl", "best_model.pkl", "model_7.pkl"}
    names = Counter(re.sub(r"\d{5}\.png", "#", path.name) for path in (finished / "panels").iterdir())
    assert names == {f"{step:06d}_{kind}_#": n for step in VALIDATED for kind, n in (("valid", 2), ("train_source", 1))}
    for path in (finished / "panels").iterdir():
        height, width, _ = cv2.imread(str(path)).shape
        assert width > 5 * 64 and height > 2 * 64  # the image and four tasks; ground truth above predictions


def test_every_step_is_logged_and_every_validation_the_last_in_metrics_json(finished):
    lines = log_lines(finished)
    training = [line for line in lines if "train/total" in line]
    validation = [line for line in lines if "valid/main/delta_m" in line]
    assert [line["step"] for line in training] == list(range(1, STEPS + 1))
    assert [line["step"] for line in validation] == VALIDATED
    assert len(lines) == len(training) + len(validation)
    times = {"time/seconds_per_step", "time/images_per_second", "time/data_share"}
    for line in training:
        assert set(line) == {"step", "lr/default"} | {f"train/{name}" for name in LOSSES} | times
        assert line["train/total"] == pytest.approx(sum(line[f"train/{task}"] for task in TASKS), rel=1e-5)
        assert line["time/images_per_second"] == pytest.approx(2 / line["time/seconds_per_step"])
        assert 0 <= line["time/data_share"] <= 1
    for line in validation:
        assert {f"valid/loss/{name}" for name in LOSSES} < set(line)
        assert {"valid/semseg_0/mIoU", "valid/depth_1/rmse", "valid/normals_0/11.25", "valid/edges_1/F1"} < set(line)
    metrics = read_json(finished / "metrics.json")
    assert metrics["step"] == STEPS and lines[-1]["valid/main/delta_m"] == metrics["main"]["delta_m"]
    for output in ("depth_0", "normals_1", "edges_0"):
        logged = {name: lines[-1][f"valid/{output}/{name}"] for name in metrics["metrics"][output]}
        assert logged == metrics["metrics"][output]


def test_exactly_as_many_steps_as_asked_for(finished):
    progress, strategy, _ = load_state(finished / "resume.pkl")
    assert (progress.step, progress.validated, progress.batches) == (STEPS, STEPS, {"source": STEPS})
    assert {float(state["step"]) for state in strategy["optimizers"]["model"]["state"].values()} == {STEPS}
    rates = [line["lr/default"] for line in log_lines(finished) if "lr/default" in line]
    assert rates[:3] == [1e-3] * 3 and rates[4:] == [5e-4] * 3  # halved after step 4
    assert_same(dict(weights_of(finished / "model_7.pkl")), dict(strategy["networks"]["model"]))


def test_the_config_of_a_run_trains_again_by_itself_and_without_wandb(finished, tmp_path, monkeypatch):
    monkeypatch.delenv("NYUDV2_DIR", raising=False)  # resolved in the file
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would fail
    monkeypatch.delitem(sys.modules, "training.wandb_logger", raising=False)
    words = ("--config", str(finished / "cfg.yml"), "--device", "cpu", "-w", "--set", "training.iterations=1")
    assert run_here(monkeypatch, *words, "--set", f"training.logdir={tmp_path / 'again'}") == 0
    again = only_run_folder(tmp_path / "again")
    assert again.parts[-4:-1] == ("nyudv2", "resnet18_ours_SDNE", "s42")  # of the same family
    expected = read_mapping(finished / "cfg.yml")
    expected["training"] |= {"iterations": 1, "logdir": str(tmp_path / "again")}
    assert json.dumps(read_mapping(again / "cfg.yml")) == json.dumps(expected)  # key order included


# --- what it keeps as the best, and what it does not keep ---


def test_the_best_of_several_validations_is_kept(logs, monkeypatch):
    scores, validated = [float("nan"), 1.0, 3.0, 2.0], []
    original = Evaluator.run

    def run(self, network, should_stop):
        validated.append({name: value.clone() for name, value in network.state_dict().items()})
        return dataclasses.replace(original(self, network, should_stop), score=scores[len(validated) - 1])

    monkeypatch.setattr(Evaluator, "run", run)
    assert run_here(monkeypatch, *arguments(training__iterations=4, training__val_interval="{0: 1}")) == 0
    assert len(validated) == 4
    assert not all(torch.equal(validated[2][name], validated[3][name]) for name in validated[2])
    folder = only_run_folder(logs)
    assert_same(dict(weights_of(folder / "best_model.pkl")), validated[2])
    assert load_state(folder / "resume.pkl")[0].best == 3


def test_a_debug_run_does_one_step_and_one_batch_and_leaves_nothing(logs, tmp_path, monkeypatch, capsys):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    assert run_here(monkeypatch, *arguments("--debug")) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^step \S+", out, re.M) == ["step 1/1"]
    assert re.findall(r"^(\d+) images in", out, re.M) == ["3"]  # of four
    assert list((tmp_path / "tmp").iterdir()) == [] and not logs.exists()


@pytest.mark.parametrize("stage", ["print_interval=1", "checkpoint_interval=1", "val_interval={0: 1}"])
def test_a_loss_that_is_no_number_ends_the_run_and_spoils_nothing(logs, monkeypatch, capsys, stage):
    """Whether the first to notice is the log, the checkpoint or the validation after step 4."""
    calls = Counter()
    original = MultiTaskLoss.forward

    def forward(self, predictions, batch):
        losses = original(self, predictions, batch)
        if torch.is_grad_enabled():
            calls["training"] += 1
            if calls["training"] == 4:
                losses["total"] = losses["total"] * torch.nan
        return losses

    monkeypatch.setattr(MultiTaskLoss, "forward", forward)
    words = arguments("--set", f"training.{stage}", training__iterations=6, training__print_interval=100)
    assert run_here(monkeypatch, *words) == 1
    error = capsys.readouterr().err
    assert re.match("failed: step 4: train/total .*finite.*setup.lr.*optim.clip_grad_norm", error)
    assert "Traceback" not in error
    progress, strategy, _ = load_state(only_run_folder(logs) / "resume.pkl")
    assert progress.step == 3 and calls["training"] == 4
    assert all(value.isfinite().all() for value in strategy["networks"]["model"].values())


# --- how it computes ---


@pytest.mark.parametrize("channels_last", [None, False])
def test_channels_last_is_the_default(logs, monkeypatch, channels_last):
    seen = []
    original = Supervised.backward

    def backward(self, batches, *, step, share):
        tensors = [batches["source"]["image"], *(p for p in self.model.parameters() if p.dim() == 4)]
        seen.append([t.is_contiguous(memory_format=torch.channels_last) for t in tensors if min(t.shape[1:]) > 1])
        return original(self, batches, step=step, share=share)

    monkeypatch.setattr(Supervised, "backward", backward)
    options = {} if channels_last is None else {"training__channels_last": channels_last}
    assert run_here(monkeypatch, *arguments("--debug", **options)) == 0
    ((image, *parameters),) = seen
    assert len(parameters) > 20 and {image, *parameters} == {channels_last is None}


def test_bfloat16_two_batches_a_step_and_another_seed(logs, monkeypatch):
    dtypes, of_losses = set(), set()
    predict, compare = DenseMTL.forward, MultiTaskLoss.forward

    def predicted(self, image):
        predictions = predict(self, image)
        values = [value for by_scale in predictions.values() for value in by_scale.values()]
        dtypes.update((self.training, value.dtype) for value in values)
        return predictions

    def compared(self, predictions, batch):
        losses = compare(self, predictions, batch)
        of_losses.add((torch.is_grad_enabled(), losses["total"].dtype))
        return losses

    monkeypatch.setattr(DenseMTL, "forward", predicted)
    monkeypatch.setattr(MultiTaskLoss, "forward", compared)
    options = {"training__iterations": 2, "training__use_amp": True, "training__accumulate": 2, "optim": "{name: Adam}"}
    assert run_here(monkeypatch, *arguments("-s", "7", **options)) == 0
    assert dtypes == {(True, torch.bfloat16), (False, torch.bfloat16)}
    assert of_losses == {(True, torch.float32), (False, torch.float32)}
    folder = only_run_folder(logs)
    config = read_mapping(folder / "cfg.yml")
    assert (folder.parent.name, config["training"]["seed"], config["data"]["dataset_seed"]) == ("s7", 7, 7)
    progress, strategy, _ = load_state(folder / "resume.pkl")
    assert (progress.step, progress.batches) == (2, {"source": 4})
    states = [*strategy["networks"]["model"].values(), *weights_of(folder / "best_model.pkl").values()]
    states += [value for state in strategy["optimizers"]["model"]["state"].values() for value in state.values()]
    assert {value.dtype for value in states if value.is_floating_point()} == {torch.float32}


# --- W&B ---


def offline_runs(folder: Path) -> list[str]:
    """Ids of the W&B runs recorded in a run folder, oldest first."""
    paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    assert all(path.stat().st_size > 0 for path in paths)
    return [path.stem.removeprefix("run-") for path in paths]


def test_without_login_wandb_warns_once_is_offline_below_the_run_folder_and_resume_keeps_the_run(
    logs, tmp_path, monkeypatch, capsys
):
    import wandb

    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # of a user who never logged in
    for name in [name for name in os.environ if name.startswith("WANDB_") or name == "NETRC"]:
        monkeypatch.delenv(name)
    try:
        assert run_here(monkeypatch, *arguments(wandb=True, training__iterations=1)) == 0
        (warning,) = re.findall("^warning: .*$", capsys.readouterr().out, re.M)
        folder = only_run_folder(logs)
        assert "wandb login" in warning and f"offline under {folder}" in warning
        (run_id,) = offline_runs(folder)
        assert load_state(folder / "resume.pkl")[0].wandb_id == run_id
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert run_here(monkeypatch, *arguments("--resume", wandb=True, training__iterations=2)) == 0
        (warning,) = re.findall("^warning: .*$", capsys.readouterr().out, re.M)
        assert "training.iterations" in warning  # of the longer run; none of W&B
        assert offline_runs(folder) == [run_id, run_id]
    finally:
        wandb.teardown()
