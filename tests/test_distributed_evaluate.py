"""`--evaluate` on two processes gives the figures of one: every image once, whatever their number."""

from pathlib import Path

import pytest
import torch

from models.build import build_model
from tests.helpers import adaptation_runs, video_runs
from tests.helpers.process_groups import TASKS, Job, Outcome, narrow, run_jobs
from tests.helpers.runs import arguments, assert_close, figures, files_below, read_json, run_here
from utils.config.load import load_experiment

VALID_BS = 2
ALIGNED = {f"data__{role}__width": 64 for role in ("source", "target")} | narrow("semseg", "depth")
# By name: command line, its overrides, the section of the dataset, number of images. Of the batches of two, the main
# process has the first and the third, if there are so many; the other has the second, if there is one.
EVALUATIONS = {
    "supervised, 1 image": (arguments, narrow(*TASKS), "data", 1),
    "supervised, 5 images": (arguments, narrow(*TASKS) | {"data__val_split": "train"}, "data", 5),
    "video, 3 images": (video_runs.words, narrow("semseg", "disp"), "data", 3),
    "adaptation, 3 images": (adaptation_runs.arguments, ALIGNED, "data.target", 3),
}


def words(name: str, *extra: str) -> list[str]:
    line, overrides, section, images = EVALUATIONS[name]
    return line("--set", f"{section}.num_val_samples={images}", *extra, **overrides, data__valid_bs=VALID_BS)


def save_weights(name: str, path: Path) -> None:
    """First weights of the experiment, which predict next to nothing but not the same for each image."""
    line = words(name)
    option = dict(zip(line, line[1:], strict=False))
    overrides = [after for word, after in zip(line, line[1:], strict=False) if word == "--set"]
    base = Path(option["--base"]) if "--base" in option else None
    experiment = load_experiment(Path(option["--config"]), base=base, overrides=overrides, purpose="evaluate")
    frames = experiment.config.data.source.frame_ids
    torch.save(build_model(experiment.config.setup, pretrained=False, frame_ids=frames).state_dict(), path)


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory) -> dict[str, tuple[Path, Path, list[Outcome]]]:
    """By name the LOG_DIR of one process, that of two, and the outcome on both."""
    root = tmp_path_factory.mktemp("evaluated")
    jobs = {}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in world.items():
            patch.setenv(variable, value)
        for name in EVALUATIONS:
            weights = root / f"{name}.pkl"
            patch.setenv("LOG_DIR", str(root / name / "one"))
            save_weights(name, weights)
            line = words(name, "--evaluate", str(weights))
            assert run_here(patch, *line) == 0
            jobs[name] = Job(line, world | {"LOG_DIR": str(root / name / "two")})
    done = dict(zip(jobs, run_jobs(list(jobs.values())), strict=True))
    return {name: (root / name / "one", root / name / "two", done[name]) for name in jobs}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_two_processes_give_the_figures_of_one(evaluated, name):
    images = EVALUATIONS[name][-1]
    one, two, outcomes = evaluated[name]
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    (alone,), (together,) = (list(logs.rglob("metrics.json")) for logs in (one, two))
    alone, together = read_json(alone), read_json(together)
    assert alone["n_images"] == together["n_images"] == images
    assert_close(figures(together), figures(alone), 1e-5)
    assert all(value > 0 for value in together["losses"].values() if value is not None)


def test_the_main_process_alone_reports_and_writes(evaluated):
    for name, (one, two, (main, other)) in evaluated.items():
        assert f"{EVALUATIONS[name][-1]} images in" in main.out and other.out == other.error == main.error == ""
        folders = [next(iter(logs.rglob("cfg.yml"))).parent for logs in (one, two)]
        assert sorted(files_below(folders[0])) == sorted(files_below(folders[1]))
        assert len(files_below(two)) == len(files_below(folders[1]))
