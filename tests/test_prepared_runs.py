"""Runs of `main.py` on prepared data: the same weights and figures as on the files, or a refusal."""

import json
import os
import shlex

import pytest
import torch

from tests.helpers.runs import arguments, fails, only_run_folder, prepare_here, run_here

AUGMENTED = {"data__augmentations": "{random_horizontal_flip: 0.5, color_aug: true}"}
PLAIN = {"optim": "{name: SGD, clip_grad_norm: 10}", "data__n_valid_logged": 0}  # nothing but weights and figures


@pytest.fixture(autouse=True)
def folders(demo_nyudv2, tmp_path, monkeypatch):
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))
    return tmp_path


def experiment_words(words: list[str]) -> list[str]:
    """Of a command line of `main.py` what `dataset.prepare` takes."""
    pairs = zip(words, words[1:], strict=False)
    return [word for pair in pairs if pair[0] in ("--base", "--config", "--set") for word in pair]


def weights(monkeypatch, folder, *words: str) -> dict[str, torch.Tensor]:
    """Those of a run whose logs go to `folder`."""
    monkeypatch.setenv("LOG_DIR", str(folder))
    assert run_here(monkeypatch, *words) == 0
    (path,) = only_run_folder(folder).glob("model_*.pkl")
    return torch.load(path, weights_only=True)


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_training_resuming_and_evaluating(folders, monkeypatch):
    options = AUGMENTED | PLAIN | {"training__n_workers": 1}
    expected = weights(monkeypatch, folders / "plain", *arguments(training__iterations=2, **options))

    options["data__prepared"] = folders / "prepared"
    monkeypatch.setenv("LOG_DIR", str(folders / "logs"))
    assert prepare_here(*experiment_words(arguments(**options))) == 0
    assert run_here(monkeypatch, *arguments(training__iterations=1, **options)) == 0
    (only_run_folder(folders / "logs") / "model_1.pkl").unlink()
    resumed = weights(monkeypatch, folders / "logs", *arguments("--resume", training__iterations=2, **options))
    assert_equal(resumed, expected)

    model = only_run_folder(folders / "plain") / "model_2.pkl"
    assert run_here(monkeypatch, *arguments("--evaluate", str(model), **options)) == 0
    (path,) = (folders / "logs").glob("nyudv2/eval/*/*/*/metrics.json")
    metrics, trained = (
        json.loads(file.read_text()) for file in (path, only_run_folder(folders / "plain") / "metrics.json")
    )
    assert metrics["metrics"] == trained["metrics"] and metrics["losses"] == trained["losses"]


def test_a_refusal_names_the_command_that_helps(folders, monkeypatch, capsys):
    monkeypatch.setenv("LOG_DIR", str(folders / "logs"))
    words = arguments(training__iterations=1, data__prepared=folders / "prepared")
    message = fails(monkeypatch, capsys, *words)
    assert f"data.prepared: {folders}/prepared/nyudv2_64x64 lacks 30 of 30 arrays" in message
    command = shlex.split(message.partition("renew it:\n")[2])
    assert command[:3] == ["python", "-m", "dataset.prepare"]
    assert sorted(command[3:]) == sorted(experiment_words(words))
    assert not os.path.exists(folders / "logs")
