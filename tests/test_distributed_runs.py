"""Training on two processes: what they see, who writes, exact resume, and another number of processes."""

import json
from pathlib import Path

import pytest
import torch

from tests import test_adaptation_runs
from tests.helpers.process_groups import Job, Outcome, narrow, run_jobs
from tests.helpers.runs import arguments, fails, files_below, only_run_folder, run_here
from tests.test_resume import assert_same
from training.state import load_state

TASKS = ("semseg", "depth", "normals", "edges")
SMALL = {
    "data__augmentations__random_horizontal_flip": 0.5,
    "data__n_valid_logged": 0,
    "optim": "{name: SGD, clip_grad_norm: 10, kwargs: {momentum: 0.9}}",
}
LITTLE_WRITTEN = {"training__save_model": False, "training__save_finished_model": False}
# Adapts from the second step on.
ADAPTS = SMALL | LITTLE_WRITTEN | narrow("semseg", "depth")
ADAPTS |= {f"data__{role}__width": 64 for role in ("source", "target")}
ADAPTS |= {"training__da__doda": 2, "training__da__ent_align": [0], "training__max_iterations": 10}
# Without dropout, of which each process has its own.
CERTAIN = narrow(*TASKS) | {f"setup__model__tasks__{task}__kwargs__intermediate_aspp": False for task in TASKS}
CERTAIN |= LITTLE_WRITTEN | {"optim": "{name: SGD}", "training__iterations": 2}
ALLOWED = {"training__allow_world_size_change": True}


def supervised(*extra: str, iterations: int = 4, **overrides: object) -> list[str]:
    return arguments(*extra, training__iterations=iterations, **(SMALL | narrow(*TASKS) | overrides))


def adaptation(*extra: str, iterations: int = 4) -> list[str]:
    return test_adaptation_runs.arguments(*extra, training__iterations=iterations, **ADAPTS)


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    """Folder of every job's LOG_DIR."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def world(demo_nyudv2, demo_cityscapes, demo_synthia) -> dict[str, str]:
    return {"NYUDV2_DIR": str(demo_nyudv2), "CITYSCAPES_DIR": str(demo_cityscapes), "SYNTHIA_DIR": str(demo_synthia)}


@pytest.fixture
def here(logs, world, monkeypatch):
    """The variables of a run in this process."""

    def here(name: str) -> None:
        for variable, value in (world | {"LOG_DIR": str(logs / name)}).items():
            monkeypatch.setenv(variable, value)

    return here


def run_all(jobs: dict[str, list[str]], logs: Path, world: dict[str, str]) -> dict[str, list[Outcome]]:
    """The outcome of every job by rank."""
    done = run_jobs([Job(words, world | {"LOG_DIR": str(logs / folder_of(name))}) for name, words in jobs.items()])
    return dict(zip(jobs, done, strict=True))


def folder_of(name: str) -> str:
    return name.removesuffix(", first")


@pytest.fixture(scope="module")
def outcomes(logs, world) -> dict[str, list[Outcome]]:
    """Of fully supervised runs."""
    with pytest.MonkeyPatch.context() as patch:  # of a run with one process, which two shall continue
        patch.setenv("LOG_DIR", str(logs / "grown"))
        patch.setenv("NYUDV2_DIR", world["NYUDV2_DIR"])
        assert run_here(patch, *supervised(iterations=1, **LITTLE_WRITTEN)) == 0
    jobs = {
        "straight": supervised(),
        "parted, first": supervised(iterations=2, **LITTLE_WRITTEN),
        "parted": supervised("--resume", **LITTLE_WRITTEN),
        "certain": arguments(**CERTAIN),
        "grown": supervised("--resume"),
    }
    return run_all(jobs, logs, world)


@pytest.fixture(scope="module")
def adapted_outcomes(logs, world) -> dict[str, list[Outcome]]:
    """Of domain adaptation."""
    jobs = {
        "straight": adaptation(),
        "parted, first": adaptation(iterations=2),
        "parted": adaptation("--resume"),
    }
    return run_all(jobs, logs / "adapted", world)


def names(outcome: Outcome, stream: str = "source") -> list[list[str]]:
    """The names of the images of every step."""
    return [step[stream] for step in outcome.names]


def test_all_runs_end_well_and_the_main_process_alone_reports(outcomes):
    for name, (main, other) in outcomes.items():
        if name != "grown":
            assert (main.status, other.status) == (0, 0), main.error
            assert main.error == other.error == other.out == "" and main.out.count("done: ") == 1, name
    lines = [line for line in outcomes["straight"][0].out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]


def test_the_run_folder_is_that_of_one_process(outcomes, logs):
    folder = only_run_folder(logs / "straight")
    files = {file for file in files_below(folder) if not file.startswith("panels/")}
    assert files == {"cfg.yml", "run.json", "log.jsonl", "metrics.json", "resume.pkl", "best_model.pkl", "model_4.pkl"}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    training = [line for line in lines if "train/total" in line]
    assert [line["step"] for line in training] == [1, 2, 3, 4]
    for line in training:  # two images a process
        assert line["time/images_per_second"] == pytest.approx(4 / line["time/seconds_per_step"])
    assert json.loads((folder / "metrics.json").read_text())["n_images"] == 4


@pytest.mark.parametrize(("runs", "lengths"), [("outcomes", [6]), ("adapted_outcomes", [10, 6])])
def test_processes_take_their_turns_in_the_stream(request, runs, lengths):
    """Together they see every image once before any comes back."""
    main, other = request.getfixturevalue(runs)["straight"]
    for stream, length in zip(("source", "target"), lengths, strict=False):
        steps = list(zip(names(main, stream), names(other, stream), strict=True))
        assert [len(batch) for step in steps for batch in step] == [2] * 8
        together = [name for step in steps for batch in step for name in batch]
        assert len(set(together[:length])) == length


@pytest.mark.parametrize(("runs", "folder"), [("outcomes", "."), ("adapted_outcomes", "adapted")])
def test_two_steps_and_two_more_are_four(request, logs, runs, folder):
    outcomes = request.getfixturevalue(runs)
    for rank in range(2):
        straight, first, rest = (outcomes[name][rank] for name in ("straight", "parted, first", "parted"))
        assert straight.status == rest.status == 0
        assert len(straight.names) == 4 and first.names + rest.names == straight.names
    straight, parted = (
        load_state(only_run_folder(logs / folder / name) / "resume.pkl") for name in ("straight", "parted")
    )
    assert parted[0] == straight[0] and parted[0].step == 4 and parted[0].world_size == 2
    assert_same(parted[1], straight[1])
    assert_same(parted[2], straight[2])
    assert len(parted[2]) == 2 and not torch.equal(parted[2][0]["torch"], parted[2][1]["torch"])
    if runs == "adapted_outcomes":
        assert "discriminator_depth_0" in parted[1]["networks"]


def test_two_processes_train_as_one_that_accumulates_two_batches(outcomes, logs, here, monkeypatch):
    here("accumulated")
    assert run_here(monkeypatch, *arguments(**CERTAIN, training__accumulate=2)) == 0
    one, two = (load_state(only_run_folder(logs / name) / "resume.pkl") for name in ("accumulated", "certain"))
    assert one[0].batches == {"source": 4} and two[0].batches == {"source": 2}
    for name, value in one[1]["networks"]["model"].items():
        if "running_" not in name and "num_batches" not in name:  # each process has its own statistics
            torch.testing.assert_close(two[1]["networks"]["model"][name], value, rtol=1e-5, atol=1e-5)
    first, second = (
        [json.loads(line) for line in (only_run_folder(logs / name) / "log.jsonl").read_text().splitlines()]
        for name in ("accumulated", "certain")
    )
    for a, b in zip(first[:2], second[:2], strict=True):
        assert {k: v for k, v in b.items() if k.startswith("train/")} == pytest.approx(
            {k: v for k, v in a.items() if k.startswith("train/")}, rel=1e-4
        )


# --- another number of processes ---


def test_another_number_is_refused_once_on_all(outcomes):
    main, other = outcomes["grown"]
    assert (main.status, other.status) == (2, 2)
    errors = main.error + other.error
    assert errors.count("error: ") == 1 and "the run trained on 1 process(es), this is 2; start 1, or" in errors
    assert "--set training.allow_world_size_change=true" in errors


def test_where_it_is_allowed_they_go_on_from_the_image_where_they_stood(outcomes, logs, here, monkeypatch, capsys):
    here("parted")
    words = supervised("--resume", iterations=5)
    assert "the run trained on 2 process(es), this is 1; start 2, or" in fails(monkeypatch, capsys, *words)
    assert run_here(monkeypatch, *supervised("--resume", iterations=5, **ALLOWED)) == 0
    progress, _, random = load_state(only_run_folder(logs / "parted") / "resume.pkl")
    assert (progress.step, progress.world_size, len(random)) == (5, 1, 1)
    assert progress.batches == {"source": 2 * 4 + 1}
