"""Training on two processes: what they see, who writes, exact resume, and another number of processes."""

from pathlib import Path

import pytest
import torch

from tests.helpers import adaptation_runs
from tests.helpers.process_groups import CERTAIN, TASKS, Job, Outcome, narrow, run_jobs
from tests.helpers.runs import (
    arguments,
    assert_same,
    fails,
    files_below,
    log_lines,
    only_run_folder,
    read_json,
    run_here,
    train,
)
from training.state import load_state

SMALL = {
    "data__augmentations__random_horizontal_flip": 0.5,
    "data__n_valid_logged": 0,
    "optim": "{name: SGD, clip_grad_norm: 10, kwargs: {momentum: 0.9}}",  # has a state
}
LITTLE_WRITTEN = {"training__save_model": False, "training__save_finished_model": False}
STEPS, PARTED_AT = 3, 2
# Adapts from the second step on.
ADAPTS = SMALL | LITTLE_WRITTEN | narrow("semseg", "depth")
ADAPTS |= {f"data__{role}__width": 64 for role in ("source", "target")}
ADAPTS |= {"training__da__doda": 2, "training__da__ent_align": [0], "training__max_iterations": 10}
ALLOWED = {"training__allow_world_size_change": True}


def supervised(*extra: str, iterations: int = STEPS, **overrides: object) -> list[str]:
    return arguments(*extra, training__iterations=iterations, **(SMALL | narrow(*TASKS) | overrides))


def adaptation(*extra: str, iterations: int = STEPS) -> list[str]:
    return adaptation_runs.arguments(*extra, training__iterations=iterations, **ADAPTS)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Folder of every job's LOG_DIR."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture
def here(root, logs, monkeypatch):
    """Sets the LOG_DIR of a run in this process to that of a job."""
    return lambda name: monkeypatch.setenv("LOG_DIR", str(root / name))


def run_all(jobs: dict[str, list[str]], root: Path, world: dict[str, str]) -> dict[str, list[Outcome]]:
    """The outcome of every job by rank; "<name>, first" is continued in the folder of "<name>"."""
    folders = [str(root / name.removesuffix(", first")) for name in jobs]
    done = run_jobs(
        [Job(words, world | {"LOG_DIR": folder}) for words, folder in zip(jobs.values(), folders, strict=True)]
    )
    return dict(zip(jobs, done, strict=True))


@pytest.fixture(scope="module")
def outcomes(root, world) -> dict[str, list[Outcome]]:
    """Of fully supervised runs."""
    train(
        root / "grown", world, *supervised(iterations=1, **LITTLE_WRITTEN)
    )  # one process, whose run two shall continue
    jobs = {
        "straight": supervised(),
        "parted, first": supervised(iterations=PARTED_AT, **LITTLE_WRITTEN),
        "parted": supervised("--resume", **LITTLE_WRITTEN),
        "certain": arguments(**CERTAIN),
        "grown": supervised("--resume"),
    }
    return run_all(jobs, root, world)


@pytest.fixture(scope="module")
def adapted_outcomes(root, world) -> dict[str, list[Outcome]]:
    """Of domain adaptation."""
    jobs = {
        "straight": adaptation(),
        "parted, first": adaptation(iterations=PARTED_AT),
        "parted": adaptation("--resume"),
    }
    return run_all(jobs, root / "adapted", world)


def names(outcome: Outcome, stream: str = "source") -> list[list[str]]:
    """The names of the images of every step."""
    return [step[stream] for step in outcome.names]


def test_all_runs_end_well_and_the_main_process_alone_reports(outcomes):
    for name, (main, other) in outcomes.items():
        if name != "grown":
            assert (main.status, other.status) == (0, 0), main.error
            assert main.error == other.error == other.out == "" and main.out.count("done: ") == 1, name
    lines = [line for line in outcomes["straight"][0].out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]


def test_the_run_folder_is_that_of_one_process(outcomes, root):
    folder = only_run_folder(root / "straight")
    files = {file for file in files_below(folder) if not file.startswith("panels/")}
    assert files == {"cfg.yml", "run.json", "log.jsonl", "metrics.json", "resume.pkl", "best_model.pkl", "model_3.pkl"}
    training = [line for line in log_lines(folder) if "train/total" in line]
    assert [line["step"] for line in training] == [1, 2, 3]
    for line in training:  # two images a process
        assert line["time/images_per_second"] == pytest.approx(4 / line["time/seconds_per_step"])
    assert read_json(folder / "metrics.json")["n_images"] == 4


@pytest.mark.parametrize(("runs", "lengths"), [("outcomes", [6]), ("adapted_outcomes", [10, 6])])
def test_processes_take_their_turns_in_the_stream(request, runs, lengths):
    """Together they see every image once before any comes back."""
    main, other = request.getfixturevalue(runs)["straight"]
    for stream, length in zip(("source", "target"), lengths, strict=False):
        steps = list(zip(names(main, stream), names(other, stream), strict=True))
        assert [len(batch) for step in steps for batch in step] == [2] * (2 * STEPS)
        together = [name for step in steps for batch in step for name in batch]
        assert len(set(together[:length])) == length


@pytest.mark.parametrize(("runs", "folder"), [("outcomes", "."), ("adapted_outcomes", "adapted")])
def test_two_steps_and_one_more_are_three(request, root, runs, folder):
    outcomes = request.getfixturevalue(runs)
    for rank in range(2):
        straight, first, rest = (outcomes[name][rank] for name in ("straight", "parted, first", "parted"))
        assert straight.status == rest.status == 0
        assert len(straight.names) == STEPS and first.names + rest.names == straight.names
    straight, parted = (
        load_state(only_run_folder(root / folder / name) / "resume.pkl") for name in ("straight", "parted")
    )
    assert parted[0] == straight[0] and parted[0].step == STEPS and parted[0].world_size == 2
    assert_same(parted[1], straight[1])
    assert_same(parted[2], straight[2])
    assert len(parted[2]) == 2 and not torch.equal(parted[2][0]["torch"], parted[2][1]["torch"])
    if runs == "adapted_outcomes":
        assert "discriminator_depth_0" in parted[1]["networks"]


def test_two_processes_train_as_one_that_accumulates_two_batches(outcomes, root, here, monkeypatch):
    here("accumulated")
    assert run_here(monkeypatch, *arguments(**CERTAIN, training__accumulate=2)) == 0
    one, two = (load_state(only_run_folder(root / name) / "resume.pkl") for name in ("accumulated", "certain"))
    assert one[0].batches == {"source": 4} and two[0].batches == {"source": 2}
    for name, value in one[1]["networks"]["model"].items():
        if "running_" not in name and "num_batches" not in name:  # each process has its own statistics
            torch.testing.assert_close(two[1]["networks"]["model"][name], value, rtol=1e-5, atol=1e-5)
    first, second = (log_lines(only_run_folder(root / name)) for name in ("accumulated", "certain"))
    for a, b in zip(first[:2], second[:2], strict=True):
        assert {k: v for k, v in b.items() if k.startswith("train/")} == pytest.approx(
            {k: v for k, v in a.items() if k.startswith("train/")}, rel=1e-4
        )


# --- another number of processes ---


def test_another_number_is_refused_once_on_all(outcomes):
    main, other = outcomes["grown"]
    assert (main.status, other.status) == (2, 2)
    errors = main.error + other.error
    assert errors.count("error: ") == 1 and "trained on 1 process(es), this is 2" in errors
    assert "--set training.allow_world_size_change=true" in errors


def test_where_it_is_allowed_they_go_on_from_the_image_where_they_stood(outcomes, root, here, monkeypatch, capsys):
    here("parted")
    words = supervised("--resume", iterations=STEPS + 1)
    assert "trained on 2 process(es), this is 1" in fails(monkeypatch, capsys, *words)
    assert run_here(monkeypatch, *supervised("--resume", iterations=STEPS + 1, **ALLOWED)) == 0
    progress, _, random = load_state(only_run_folder(root / "parted") / "resume.pkl")
    assert (progress.step, progress.world_size, len(random)) == (STEPS + 1, 1, 1)
    assert progress.batches == {"source": 2 * STEPS + 1}
