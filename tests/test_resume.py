"""A run that was stopped, in whatever way and setting, goes on as if it never had been, to the last bit."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.helpers import adaptation_runs, video_runs
from tests.helpers.runs import (
    arguments,
    assert_same,
    names_of,
    only_run_folder,
    read_json,
    record_steps,
    run_here,
    start,
    train,
)
from training.state import load_state
from training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("logs")
ADAM = {"optim": "{name: Adam, clip_grad_norm: 10}"}  # has a state
FLIPPED = {"data__augmentations__random_horizontal_flip": 0.5, "training__n_workers": 2}


def supervised(*extra: str, iterations: int = 4) -> list[str]:
    return arguments(*extra, training__iterations=iterations, **ADAM, **FLIPPED)


def adaptation(*extra: str, iterations: int = 6) -> list[str]:
    """Adapts from the second step on."""
    options = {"training__da__doda": 2, "training__max_iterations": 10, "training__save_model": False}
    return adaptation_runs.arguments(*extra, training__iterations=iterations, **ADAM, **options)


def video(*extra: str, iterations: int = 4) -> list[str]:
    return video_runs.words(*extra, iterations=iterations, **ADAM)


@dataclass
class Run:
    """A run folder and the names of the images it has seen."""

    folder: Path
    names: list[dict[str, list[str]]]


def trained(logs: Path, world: dict[str, str], *words: str) -> Run:
    with pytest.MonkeyPatch.context() as monkeypatch:
        steps = record_steps(monkeypatch)
        return Run(train(logs, world, *words), names_of(steps))


@pytest.fixture(scope="module")
def straight(world, tmp_path_factory) -> Run:
    """A fully supervised run of four steps that nothing stopped."""
    return trained(tmp_path_factory.mktemp("straight"), world, *supervised())


def assert_went_on_as(straight: Run, resumed: Path) -> None:
    progress, *states = load_state(resumed / "resume.pkl")
    expected, *others = load_state(straight.folder / "resume.pkl")
    assert (progress.step, progress.batches) == (expected.step, expected.batches)
    assert_same(states, others)


@pytest.mark.parametrize(("words", "parted_at"), [(supervised, 2), (adaptation, 3), (video, 2)])
def test_what_ended_early_goes_on_as_if_it_had_not(
    request, world, tmp_path, words: Callable[..., list[str]], parted_at: int
):
    if words is supervised:
        straight = request.getfixturevalue("straight")
    else:
        straight = trained(tmp_path / "straight", world, *words())
    first = trained(tmp_path / "parted", world, *words(iterations=parted_at))
    torch.manual_seed(999)  # what happens between the two runs must not matter
    rest = trained(tmp_path / "parted", world, *words("--resume"))
    assert_went_on_as(straight, rest.folder)
    assert first.names + rest.names == straight.names
    if words is adaptation:
        check_streams_and_discriminators(straight)


def check_streams_and_discriminators(run: Run) -> None:
    """10 source images are 5 batches of 2, 6 target images 3: each begins anew when it is through, not before."""
    for stream, count in (("source", 10), ("target", 6)):
        names = [name for step in run.names for name in step[stream]]
        assert len(set(names[:count])) == count
        again = names[count : 2 * count]
        assert set(again) <= set(names[:count]) and len(set(again)) == len(again)
    _, strategy, _ = load_state(run.folder / "resume.pkl")
    judges = {f"discriminator_{name}" for name in adaptation_runs.ADAPTED}
    assert all(set(strategy[kind]) == {"model"} | judges for kind in ("networks", "optimizers", "schedulers"))
    for judge in judges:
        assert all("exp_avg" in state for state in strategy["optimizers"][judge]["state"].values())
        assert strategy["optimizers"][judge]["param_groups"][0]["lr"] == pytest.approx(1e-4 * (1 - 6 / 10) ** 0.9)
    assert strategy["optimizers"]["model"]["param_groups"][0]["lr"] == pytest.approx(1e-3 / 2)  # as configured


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_so(straight, logs, monkeypatch, capsys, number, status):
    original = Supervised.backward

    def backward(self, batches, *, step, share):
        if step == 2:
            signal.raise_signal(number)
        return original(self, batches, step=step, share=share)

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "backward", backward)
        assert run_here(monkeypatch, *supervised()) == status
    assert "stopped after step 2; --resume continues this run" in capsys.readouterr().err
    assert run_here(monkeypatch, *supervised("--resume")) == 0
    folder = only_run_folder(logs)
    assert_went_on_as(straight, folder)
    first, second = read_json(folder / "run.json")["sessions"]
    assert (first["outcome"], second["outcome"]) == ("Stopped", "done")
    assert first["start"] <= first["end"] <= second["start"] <= second["end"]
    assert "--resume" in second["command"] and "--resume" not in first["command"]


def test_a_run_killed_between_checkpoints_goes_on_exactly(straight, logs, monkeypatch):
    process = start(*supervised(), "--set", "training.checkpoint_interval=2")
    for line in process.stdout:
        if line.startswith("step 3/4"):
            process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    folder = only_run_folder(logs)
    assert load_state(folder / "resume.pkl")[0].step == 2
    assert run_here(monkeypatch, *supervised("--resume")) == 0
    assert_went_on_as(straight, folder)
    assert not list(folder.glob(".*tmp"))


def test_nothing_to_resume_names_the_folder_searched(logs, monkeypatch, capsys):
    assert run_here(monkeypatch, *arguments("--resume")) == 2
    error = capsys.readouterr().err
    assert str(logs / "nyudv2" / "resnet18_ours_SDNE" / "s42") in error and "--resume" in error
    assert not logs.exists()


def test_another_config_than_the_runs_is_pointed_out(logs, monkeypatch, capsys):
    assert run_here(monkeypatch, *arguments(training__iterations=1)) == 0
    assert "differs" not in capsys.readouterr().out
    other = {"training__iterations": 2, "data__n_valid_logged": 0}
    assert run_here(monkeypatch, *arguments("--resume", **other)) == 0
    warning = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: --resume"))
    assert all(key in warning for key in ("training.iterations", "data.n_valid_logged"))
    assert str(only_run_folder(logs) / "cfg.yml") in warning
