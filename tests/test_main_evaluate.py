"""`--evaluate`: the figures of the run again, from any form of the weights."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.build import build_model
from tests.helpers.runs import (
    ROOT,
    arguments,
    assert_close,
    evaluated,
    fails,
    figures,
    files_below,
    read_json,
    run_here,
    small_experiment,
    weights_of,
)
from utils.config.yaml_io import read_mapping, write_mapping

METRICS = {
    "semseg": {"mIoU", "Acc", "IoU"},
    "depth": {"rmse", "abs_rel", "sq_rel", "a1", "a2", "a3"},
    "normals": {"mean", "median", "rmse", "11.25", "22.5", "30"},
    "edges": {"F1", "F1_edge", "F1_no_edge"},
}


@pytest.fixture(scope="module")
def then(trained) -> dict:
    """The run's own figures."""
    return read_json(trained / "metrics.json")


@pytest.fixture
def evaluate(logs, monkeypatch):
    """Evaluates weights; gives the content of `metrics.json`."""

    def evaluate(weights: Path, **overrides: object) -> dict:
        words = arguments("--evaluate", str(weights), training__iterations=2, **overrides)
        assert run_here(monkeypatch, *words) == 0
        return read_json(evaluated(logs) / "metrics.json")

    return evaluate


def test_the_runs_last_validation_is_reproduced_in_a_folder_of_its_own(trained, then, evaluate, logs):
    run = trained.parents[3]
    before = files_below(run)
    again = evaluate(trained / "best_model.pkl")
    assert (again["step"], then["step"]) == (None, 2)
    assert figures(again) == figures(then) and again["n_images"] == then["n_images"] == 4
    assert files_below(run) == before
    folder = evaluated(logs)
    assert folder.parent == logs / "nyudv2" / "eval" / "resnet18_ours_SDNE" / "s42"
    assert set(files_below(folder)) == {"cfg.yml", "run.json", "metrics.json", "panels/valid_00000.png"}
    assert len(files_below(logs)) == 4
    assert (folder / "cfg.yml").read_text() == (trained / "cfg.yml").read_text().replace(str(run), str(logs))


def test_metrics_json_is_complete(then):
    assert list(then) == [
        "step", "n_images", "losses", "metrics", "main", "seconds", "images_per_second", "peak_memory_mb",
    ]  # fmt: skip
    outputs = [f"{task}_{scale}" for task in METRICS for scale in (0, 1)]
    assert set(then["losses"]) == {"total", *METRICS, *outputs}
    assert {output: set(scores) for output, scores in then["metrics"].items()} == {
        output: METRICS[output[:-2]] for output in outputs
    }
    assert set(then["main"]) == {"semseg/mIoU", "depth/rmse", "normals/mean", "edges/F1", "delta_m"}
    assert then["main"]["depth/rmse"] == then["metrics"]["depth_0"]["rmse"]  # the final output decides
    assert then["images_per_second"] == pytest.approx(then["n_images"] / then["seconds"])
    assert then["peak_memory_mb"] > 100
    scores = then["metrics"]["semseg_0"]
    known = [value for value in scores["IoU"].values() if value is not None]
    assert len(scores["IoU"]) == 40 and 0 < len(known) < 40  # a class that is nowhere has no part in the mean
    assert scores["mIoU"] == pytest.approx(sum(known) / len(known))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_image_counts_once_whatever_the_batch(trained, then, evaluate, batch):
    again = evaluate(trained / "best_model.pkl", data__valid_bs=batch)
    assert again["n_images"] == 4
    # A loss may depend on the batch (berHu on its largest error), a metric never does.
    assert_close(*(figures({**metrics, "losses": {}}) for metrics in (again, then)), 1e-4)


def test_a_debug_evaluation_takes_one_batch_and_leaves_nothing(trained, logs, monkeypatch, capsys):
    assert run_here(monkeypatch, *arguments("--evaluate", str(trained / "best_model.pkl"), "--debug")) == 0
    assert "3 images in" in capsys.readouterr().out
    assert not logs.exists()


def test_weights_that_give_no_number_are_measured_as_null(trained, evaluate, tmp_path):
    state = weights_of(trained / "best_model.pkl")
    state["heads.depth.predictions.0.bias"] *= torch.nan
    torch.save(state, tmp_path / "broken.pkl")
    metrics = evaluate(tmp_path / "broken.pkl")
    assert metrics["losses"]["depth_0"] is metrics["losses"]["total"] is metrics["metrics"]["depth_0"]["rmse"] is None
    assert metrics["losses"]["depth_1"] > 0


# --- what is no weights of the experiment ---


def of_other_tasks(path: Path, trained: Path) -> None:
    config = read_mapping(ROOT / "configs/demo/resnet18_ours_SDNE.yml")
    for section in (config["setup"]["model"], config["setup"]["loss"]):
        del section["tasks"]["normals"], section["tasks"]["edges"]
    config["setup"]["loss"]["kwargs"] = {}
    write_mapping(config, path.with_suffix(".yml"))
    experiment = small_experiment("evaluate", config=path.with_suffix(".yml"))
    torch.save(build_model(experiment.config.setup, pretrained=False).state_dict(), path)


def misnamed(path: Path, trained: Path) -> None:
    wrong = weights_of(trained / "best_model.pkl")
    wrong["heads.edges.predictions.0.bais"] = wrong.pop("heads.edges.predictions.0.bias")
    wrong["heads.depth.predictions.1.bias"] = torch.zeros(3)
    torch.save(wrong, path)


def truncated(path: Path, trained: Path) -> None:
    whole = (trained / "best_model.pkl").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("make", "patterns"),
    [
        (
            of_other_tasks,
            [
                "of the tasks semseg, depth; the config has semseg, depth, normals, edges",
                r"missing: .*heads\.normals\.levels\.4\.enter\..* more",
                r"of another shape: exchanges\.1\.semseg\.fuse\.conv\.weight",
            ],
        ),
        (
            misnamed,
            [
                r"1 missing: heads\.edges\.predictions\.0\.bias\n",
                r"1 unexpected: heads\.edges\.predictions\.0\.bais\n",
                r"1 of another shape: heads\.depth\.predictions\.1\.bias \(\(3,\) .*\(1,\)",
            ],
        ),
        (truncated, [r"wrong\.pkl cannot be read as weights.*cut short"]),
        (lambda path, _: torch.save({"weight": Trap(path.parent / "trap")}, path), [r"wrong\.pkl .*Python.*refused"]),
        (
            lambda path, trained: path.symlink_to(trained / "resume.pkl"),
            [r"wrong\.pkl is no dict.*best_model\.pkl and .*not in resume\.pkl"],
        ),
        (lambda *_: None, ["no weights file at wrong.pkl", "{folder}/wrong.pkl"]),
    ],
)
def test_weights_that_are_none_of_the_experiment_are_refused(
    trained, logs, tmp_path, monkeypatch, capsys, make: Callable[[Path, Path], None], patterns: list[str]
):
    make(tmp_path / "wrong.pkl", trained)
    monkeypatch.setenv("MODELS", str(tmp_path))
    message = fails(monkeypatch, capsys, *arguments("--evaluate", "wrong.pkl"))
    for pattern in patterns:
        assert re.search(pattern.replace("{folder}", re.escape(str(tmp_path))), message, re.S), message
    assert not logs.exists() and not (tmp_path / "trap").exists()  # nothing written, and no code run
