"""Weights of one run as the start of another, and for the published code."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.runs import ROOT, SMALL, arguments, fails, only_run_folder, run_folders, run_here, tiny
from training.loop import Loop

BASE, CONFIG = (ROOT / "configs" / "cityscapes" / name for name in ("fs_bs2.yml", "resnet101_ours_SDN.yml"))


@pytest.fixture(scope="module")
def trained(demo_nyudv2, tmp_path_factory) -> Path:
    """The folder of a run of four tasks and 40 classes."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NYUDV2_DIR", str(demo_nyudv2))
        patch.setenv("LOG_DIR", str(logs))
        assert run_here(patch, *arguments(training__iterations=1)) == 0
    return only_run_folder(logs)


@pytest.fixture(autouse=True)
def logs(trained, demo_cityscapes, tmp_path, monkeypatch) -> Path:
    """LOG_DIR of the test."""
    monkeypatch.setenv("CITYSCAPES_DIR", str(demo_cityscapes))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def first_state(monkeypatch) -> dict[str, torch.Tensor]:
    """Filled with the network's weights before the first step."""
    state: dict[str, torch.Tensor] = {}
    original = Loop.run

    def run(self):
        state.update({name: value.clone() for name, value in self.strategy.model.state_dict().items()})
        return original(self)

    monkeypatch.setattr(Loop, "run", run)
    return state


def on_cityscapes(*extra: str) -> list[str]:
    """Three tasks and 7 classes; the encoder's weights would come from the internet."""
    options = SMALL | tiny(CONFIG, BASE) | {"setup.model.pretrain": "imnet", "training.iterations": 1}
    options |= {"data.n_classes": 7, "setup.model.tasks.semseg.kwargs.num_out_ch": 7}
    options |= {
        f"setup.model.tasks.{task}.kwargs.num_ch_dec": [16, 32, 32, 64, 64] for task in ("semseg", "depth", "normals")
    }
    settings = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    return ["--base", str(BASE), "--config", str(CONFIG), "--device", "cpu", "-w", *settings, *extra]


def test_a_run_starts_a_training_of_other_data_classes_and_tasks(trained, logs, first_state, monkeypatch, capsys):
    assert run_here(monkeypatch, *on_cityscapes("--weights", str(trained), "--weights-partial")) == 0
    given = torch.load(trained / "best_model.pkl", weights_only=True)
    new = {name for name in first_state if not (name in given and torch.equal(first_state[name], given[name]))}
    changed = ["heads.semseg.predictions", *(f"exchanges.1.{task}.fuse" for task in ("semseg", "depth", "normals"))]
    assert f"untrained parts: {', '.join(changed)}\n" in capsys.readouterr().out
    assert new and all(name.startswith(tuple(changed)) for name in new) and "heads.semseg.predictions.0.bias" in new
    (session,) = json.loads((only_run_folder(logs) / "run.json").read_text())["sessions"]
    assert session["weights"] == str(trained / "best_model.pkl")


def test_other_tasks_are_refused_with_the_way_to_allow_them(trained, logs, monkeypatch, capsys):
    message = fails(monkeypatch, capsys, *on_cityscapes("--weights", str(trained)))
    assert "--weights-partial" in message and "semseg, depth, normals, edges" in message
    assert run_folders(logs) == []


def test_weights_are_read_before_the_dataset_is_opened(tmp_path, monkeypatch, capsys):
    (tmp_path / "cut.pkl").write_bytes(b"PK")
    message = fails(
        monkeypatch, capsys, *on_cityscapes("--weights", str(tmp_path / "cut.pkl"), "--set", "data.path=/no")
    )
    assert "cut.pkl cannot be read as weights" in message


def test_a_run_folder_is_its_config_and_its_best_weights(trained, first_state, tmp_path, monkeypatch):
    logdir = ("--set", f"training.logdir={tmp_path}", "--device", "cpu", "-w")
    assert run_here(monkeypatch, "--evaluate", str(trained), *logdir) == 0
    (metrics,) = tmp_path.glob("nyudv2/eval/resnet18_ours_SDNE/s42/*/metrics.json")
    then, now = (json.loads(path.read_text()) for path in (trained / "metrics.json", metrics))
    assert (now["losses"], now["metrics"]) == (then["losses"], then["metrics"])
    assert run_here(monkeypatch, "--weights", str(trained), *logdir, "--seed", "3") == 0
    given = torch.load(trained / "best_model.pkl", weights_only=True)
    assert list(first_state) == list(given) and all(torch.equal(first_state[name], given[name]) for name in given)
    assert only_run_folder(tmp_path).parts[-4:-1] == ("nyudv2", "resnet18_ours_SDNE", "s3")


def test_exported_weights_have_published_names_and_the_same_values(trained, logs, tmp_path, monkeypatch, capsys):
    """Out and in again, and out from there: the same to the bit; `--evaluate` of them gives the run's figures."""
    monkeypatch.delenv("LOG_DIR")
    first, second = tmp_path / "first.pkl", tmp_path / "second.pkl"
    assert run_here(monkeypatch, "--weights", str(trained), "--export-weights", str(first)) == 0
    config = ("--config", str(trained / "cfg.yml"))
    assert run_here(monkeypatch, *config, "--weights", str(first), "--export-weights", str(second)) == 0
    published, again = (torch.load(path, weights_only=True) for path in (first, second))
    given = torch.load(trained / "best_model.pkl", weights_only=True)
    assert list(published) == list(again) and all(torch.equal(published[name], again[name]) for name in again)
    for name in ("heads.edges.decoder.14.weight", "params.edges.0.decoder.14.weight"):
        assert torch.equal(published[name], given["heads.edges.predictions.0.weight"])
    assert fails(monkeypatch, capsys, *config, "--weights", str(trained), "--export-weights", str(first)).startswith(
        f"--export-weights {first}: "
    )
    words = (*config, "--evaluate", str(first), "--device", "cpu", "-w", "--set", f"training.logdir={logs}")
    assert run_here(monkeypatch, *words) == 0
    (metrics,) = logs.glob("nyudv2/eval/resnet18_ours_SDNE/s42/*/metrics.json")
    then, now = (json.loads(path.read_text()) for path in (trained / "metrics.json", metrics))
    assert (now["losses"], now["metrics"]) == (then["losses"], then["metrics"])
