"""Weights of one run as the start of another, and for the published code."""

from pathlib import Path

import pytest
import torch

from tests.helpers.runs import (
    ROOT,
    SMALL,
    assert_same,
    evaluated,
    fails,
    figures,
    only_run_folder,
    read_json,
    run_folders,
    run_here,
    tiny,
    weights_of,
)
from training.loop import Loop

BASE, CONFIG = (ROOT / "configs" / "cityscapes" / name for name in ("fs_bs2.yml", "resnet101_ours_SDN.yml"))


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


def assert_figures_of(trained: Path, logs: Path) -> None:
    now, then = (figures(read_json(folder / "metrics.json")) for folder in (evaluated(logs), trained))
    assert now == then


def test_a_run_starts_a_training_of_other_data_classes_and_tasks(trained, logs, first_state, monkeypatch, capsys):
    assert run_here(monkeypatch, *on_cityscapes("--weights", str(trained), "--weights-partial")) == 0
    given = weights_of(trained / "best_model.pkl")
    new = {name for name in first_state if not (name in given and torch.equal(first_state[name], given[name]))}
    changed = ["heads.semseg.predictions", *(f"exchanges.1.{task}.fuse" for task in ("semseg", "depth", "normals"))]
    assert f"untrained parts: {', '.join(changed)}\n" in capsys.readouterr().out
    assert new and all(name.startswith(tuple(changed)) for name in new) and "heads.semseg.predictions.0.bias" in new
    (session,) = read_json(only_run_folder(logs) / "run.json")["sessions"]
    assert session["weights"] == str(trained / "best_model.pkl")


def test_weights_that_do_not_fit_are_refused_unreadable_ones_before_the_dataset_is_opened(
    trained, logs, monkeypatch, capsys, tmp_path
):
    message = fails(monkeypatch, capsys, *on_cityscapes("--weights", str(trained)))
    assert "--weights-partial" in message and "semseg, depth, normals, edges" in message
    (tmp_path / "cut.pkl").write_bytes(b"PK")
    words = on_cityscapes("--weights", str(tmp_path / "cut.pkl"), "--set", "data.path=/no")
    assert "cut.pkl cannot be read as weights" in fails(monkeypatch, capsys, *words)
    assert run_folders(logs) == []


def test_a_run_folder_is_its_config_and_its_best_weights(trained, first_state, tmp_path, monkeypatch):
    logdir = ("--set", f"training.logdir={tmp_path}", "--device", "cpu", "-w")
    assert run_here(monkeypatch, "--evaluate", str(trained), *logdir) == 0
    assert_figures_of(trained, tmp_path)
    assert run_here(monkeypatch, "--weights", str(trained), *logdir, "--seed", "3") == 0
    assert_same(dict(first_state), dict(weights_of(trained / "best_model.pkl")))
    assert only_run_folder(tmp_path).parts[-4:-1] == ("nyudv2", "resnet18_ours_SDNE", "s3")


def test_exported_weights_have_published_names_and_the_same_values(trained, logs, tmp_path, monkeypatch, capsys):
    """Out and in again, and out from there: the same to the bit; `--evaluate` of them gives the run's figures."""
    monkeypatch.delenv("LOG_DIR")
    first, second = tmp_path / "first.pkl", tmp_path / "second.pkl"
    assert run_here(monkeypatch, "--weights", str(trained), "--export-weights", str(first)) == 0
    config = ("--config", str(trained / "cfg.yml"))
    assert run_here(monkeypatch, *config, "--weights", str(first), "--export-weights", str(second)) == 0
    published, again, given = (weights_of(path) for path in (first, second, trained / "best_model.pkl"))
    assert_same(published, again)
    for name in ("heads.edges.decoder.14.weight", "params.edges.0.decoder.14.weight"):
        assert torch.equal(published[name], given["heads.edges.predictions.0.weight"])
    message = fails(monkeypatch, capsys, *config, "--weights", str(trained), "--export-weights", str(first))
    assert message.startswith(f"--export-weights {first}: ")  # is there already
    words = (*config, "--evaluate", str(first), "--device", "cpu", "-w", "--set", f"training.logdir={logs}")
    assert run_here(monkeypatch, *words) == 0
    assert_figures_of(trained, logs)
