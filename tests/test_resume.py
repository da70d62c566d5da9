"""A resumed run is bit-identical to one that never stopped."""

import json
import signal

import pytest
import torch

from tests.helpers.runs import arguments, run_folders, run_here, start
from training.state import load_state
from training.supervised import Supervised


@pytest.fixture(autouse=True)
def _environment(demo_nyudv2, monkeypatch):
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))


def assert_same(a, b, where=""):
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


@pytest.fixture
def seen(monkeypatch):
    """Names of the images trained on, in order."""
    names = []
    original = Supervised.backward

    def backward(self, batches, *, step, share):
        names.append(batches["source"]["filename"])
        return original(self, batches, step=step, share=share)

    monkeypatch.setattr(Supervised, "backward", backward)
    return names


@pytest.mark.parametrize("workers", [0, 2])
def test_three_steps_and_three_more_are_six(tmp_path, monkeypatch, seen, workers):
    def train(logs, iterations, *extra):
        monkeypatch.setenv("LOG_DIR", str(tmp_path / logs))
        options = arguments(*extra, training__iterations=iterations, training__n_workers=workers)
        assert run_here(monkeypatch, *options) == 0
        folders = run_folders(tmp_path / logs)
        assert len(folders) == 1  # a resumed run goes on in its folder
        return load_state(folders[0] / "resume.pkl")

    straight = train("straight", 6)
    seen_straight, seen[:] = list(seen), []
    train("parted", 3)
    torch.manual_seed(999)  # what happens between the two runs must not matter
    resumed = train("parted", 6, "--resume")
    assert seen == seen_straight and len(seen) == 6
    progress, strategy, random = resumed
    assert progress.step == 6
    assert_same(strategy, straight[1])
    assert_same(random, straight[2])
    assert progress.batches == straight[0].batches == {"source": 6}


def test_a_run_killed_between_checkpoints_goes_on_exactly(tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "straight"))
    assert run_here(monkeypatch, *arguments(training__iterations=6)) == 0
    process = start(*arguments(training__iterations=6), LOG_DIR=str(tmp_path / "killed"))
    for line in process.stdout:
        if line.startswith("step 4/6"):
            process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    folder = run_folders(tmp_path / "killed")[0]
    assert load_state(folder / "resume.pkl")[0].step == 3
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "killed"))
    assert run_here(monkeypatch, *arguments("--resume", training__iterations=6)) == 0
    straight = load_state(run_folders(tmp_path / "straight")[0] / "resume.pkl")
    assert_same(load_state(folder / "resume.pkl")[1], straight[1])
    assert not list(folder.glob(".*tmp"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_so(tmp_path, monkeypatch, number, status):
    process = start(*arguments(training__iterations=1000), LOG_DIR=str(tmp_path))
    for line in process.stdout:
        if line.startswith("step 2/1000"):
            process.send_signal(number)
            break
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert "--resume continues this run" in error and "Traceback" not in error
    (folder,) = run_folders(tmp_path)
    step = load_state(folder / "resume.pkl")[0].step
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    assert run_here(monkeypatch, *arguments("--resume", training__iterations=step + 1)) == 0
    assert load_state(folder / "resume.pkl")[0].step == step + 1
    first, second = json.loads((folder / "run.json").read_text())["sessions"]
    assert (first["outcome"], second["outcome"]) == ("Stopped", "done")
    assert first["start"] <= first["end"] <= second["start"] <= second["end"]
    assert "--resume" in second["command"] and "--resume" not in first["command"]


def test_nothing_to_resume_names_the_folder_searched(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    assert run_here(monkeypatch, *arguments("--resume")) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "nyudv2" / "resnet18_ours_SDNE" / "s42") in error and "--resume" in error
    assert list(tmp_path.iterdir()) == []


def test_another_config_than_the_runs_is_pointed_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    assert run_here(monkeypatch, *arguments(training__iterations=1)) == 0
    assert "differs" not in capsys.readouterr().out
    assert run_here(monkeypatch, *arguments("--resume", training__iterations=2, optim__clip_grad_norm=5)) == 0
    warning = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: --resume"))
    assert "training.iterations, optim.clip_grad_norm" in warning
    assert str(run_folders(tmp_path)[0] / "cfg.yml") in warning
