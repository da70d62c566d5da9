"""`--evaluate`: the figures of the run again, from any form of the weights."""

import json
import os
from pathlib import Path

import pytest
import torch

from models.build import build_model
from tests.helpers.runs import ROOT, arguments, fails, files_below, only_run_folder, run_here, small_experiment
from utils.config.yaml_io import read_mapping, write_mapping

TASKS = ("semseg", "depth", "normals", "edges")
METRICS = {
    "semseg": {"mIoU", "Acc", "IoU"},
    "depth": {"rmse", "abs_rel", "sq_rel", "a1", "a2", "a3"},
    "normals": {"mean", "median", "rmse", "11.25", "22.5", "30"},
    "edges": {"F1", "F1_edge", "F1_no_edge"},
}


@pytest.fixture(scope="module")
def trained(demo_nyudv2, tmp_path_factory) -> Path:
    """The folder of a run that was validated once, at its end."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NYUDV2_DIR", str(demo_nyudv2))
        patch.setenv("LOG_DIR", str(logs))
        assert run_here(patch, *arguments(training__iterations=2)) == 0
    return only_run_folder(logs)


@pytest.fixture(scope="module")
def state(trained) -> dict[str, torch.Tensor]:
    return torch.load(trained / "best_model.pkl", weights_only=True)


@pytest.fixture(autouse=True)
def logs(demo_nyudv2, tmp_path, monkeypatch) -> Path:
    """LOG_DIR of the test."""
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


def read(path: Path) -> dict:
    """A file of standard JSON, which has no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def evaluation_folder(logs: Path) -> Path:
    """The one folder of an evaluation below LOG_DIR, which holds nothing else."""
    (folder,) = logs.glob("nyudv2/eval/resnet18_ours_SDNE/s42/*")
    assert all((logs / file).is_relative_to(folder) for file in files_below(logs))
    return folder


@pytest.fixture
def evaluate(logs, monkeypatch):
    """Evaluates weights; gives the content of `metrics.json`."""

    def evaluate(weights: Path, **overrides: object) -> dict:
        words = arguments("--evaluate", str(weights), training__iterations=2, **overrides)
        assert run_here(monkeypatch, *words) == 0
        return read(evaluation_folder(logs) / "metrics.json")

    return evaluate


def figures(metrics: dict) -> dict[str, float | None]:
    """Every figure but time and memory under one name."""
    flat = {f"losses.{name}": value for name, value in metrics["losses"].items()}
    flat |= {f"main.{name}": value for name, value in metrics["main"].items()}
    for output, scores in metrics["metrics"].items():
        for name, value in scores.items():
            for label, one in value.items() if isinstance(value, dict) else [("", value)]:
                flat[f"{output}.{name}.{label}"] = one
    return flat


def assert_close(given: dict[str, float | None], expected: dict[str, float | None], tolerance: float) -> None:
    assert list(given) == list(expected)
    for name, value in expected.items():
        wanted = value if value is None else pytest.approx(value, rel=tolerance, abs=tolerance)
        assert given[name] == wanted, name


def test_the_runs_last_validation_is_reproduced_in_a_folder_of_its_own(trained, evaluate, logs):
    run = trained.parents[3]
    before = files_below(run)
    again, then = evaluate(trained / "best_model.pkl"), read(trained / "metrics.json")
    assert (again["step"], then["step"]) == (None, 2)
    assert figures(again) == figures(then) and again["n_images"] == then["n_images"] == 4
    assert files_below(run) == before
    folder = evaluation_folder(logs)
    assert set(files_below(folder)) == {"cfg.yml", "run.json", "metrics.json", "panels/valid_00000.png"}
    assert (folder / "cfg.yml").read_text() == (trained / "cfg.yml").read_text().replace(str(run), str(logs))


def test_metrics_json_is_complete(trained):
    metrics = read(trained / "metrics.json")
    assert list(metrics) == [
        "step", "n_images", "losses", "metrics", "main", "seconds", "images_per_second", "peak_memory_mb",
    ]  # fmt: skip
    outputs = [f"{task}_{scale}" for task in TASKS for scale in (0, 1)]
    assert set(metrics["losses"]) == {"total", *TASKS, *outputs}
    assert {output: set(scores) for output, scores in metrics["metrics"].items()} == {
        output: METRICS[output[:-2]] for output in outputs
    }
    assert set(metrics["main"]) == {"semseg/mIoU", "depth/rmse", "normals/mean", "edges/F1", "delta_m"}
    assert metrics["main"]["depth/rmse"] == metrics["metrics"]["depth_0"]["rmse"]  # the final output decides
    shares = [metrics["metrics"]["normals_0"][name] for name in ("11.25", "22.5", "30")]
    assert 0 <= shares[0] <= shares[1] <= shares[2] <= 1
    assert metrics["images_per_second"] == pytest.approx(metrics["n_images"] / metrics["seconds"])
    assert metrics["peak_memory_mb"] > 100


def test_a_class_that_is_nowhere_has_no_iou_and_no_part_in_the_mean(trained):
    scores = read(trained / "metrics.json")["metrics"]["semseg_0"]
    known = [value for value in scores["IoU"].values() if value is not None]
    assert len(scores["IoU"]) == 40 and 0 < len(known) < 40
    assert scores["mIoU"] == pytest.approx(sum(known) / len(known))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_image_counts_once_whatever_the_batch(trained, evaluate, batch):
    again, then = evaluate(trained / "best_model.pkl", data__valid_bs=batch), read(trained / "metrics.json")
    assert again["n_images"] == 4
    # A loss may depend on the batch (berHu on its largest error), a metric never does.
    again, then = ({**metrics, "losses": {}} for metrics in (again, then))
    assert_close(figures(again), figures(then), 1e-4)


def test_a_debug_evaluation_takes_one_batch_and_leaves_nothing(trained, logs, monkeypatch, capsys):
    assert run_here(monkeypatch, *arguments("--evaluate", str(trained / "best_model.pkl"), "--debug")) == 0
    assert "3 images in" in capsys.readouterr().out
    assert not logs.exists()


def test_weights_that_give_no_number_are_measured_as_null(state, evaluate, tmp_path):
    bias = "heads.depth.predictions.0.bias"
    broken = state | {bias: state[bias] * torch.nan}
    torch.save(broken, tmp_path / "broken.pkl")
    metrics = evaluate(tmp_path / "broken.pkl")
    assert metrics["losses"]["depth_0"] is metrics["losses"]["total"] is metrics["metrics"]["depth_0"]["rmse"] is None
    assert metrics["losses"]["depth_1"] > 0


@pytest.fixture
def complaint(logs, monkeypatch, capsys):
    """The message that `--evaluate` of a file ends with; nothing may have been written."""

    def complaint(weights: Path, *extra: str) -> str:
        message = fails(monkeypatch, capsys, *arguments("--evaluate", str(weights), *extra))
        assert not logs.exists()
        return message

    return complaint


def test_weights_of_another_task_set_are_listed(complaint, tmp_path):
    config = read_mapping(ROOT / "configs/demo/resnet18_ours_SDNE.yml")
    for section in (config["setup"]["model"], config["setup"]["loss"]):
        del section["tasks"]["normals"], section["tasks"]["edges"]
    config["setup"]["loss"]["kwargs"] = {}
    write_mapping(config, tmp_path / "SD.yml")
    experiment = small_experiment("evaluate", config=tmp_path / "SD.yml")
    torch.save(build_model(experiment.config.setup, pretrained=False).state_dict(), tmp_path / "SD.pkl")
    message = complaint(tmp_path / "SD.pkl")
    assert "they are weights of the tasks semseg, depth; the config has semseg, depth, normals, edges" in message
    assert "missing: " in message and "heads.normals.levels.4.enter." in message and " more" in message
    assert "of another shape: exchanges.1.semseg.fuse.conv.weight" in message


def test_missing_unexpected_and_misshapen_names_are_listed(complaint, state, tmp_path):
    wrong = dict(state)
    missing = wrong.pop("heads.edges.predictions.0.bias")
    wrong["heads.edges.predictions.0.bais"] = missing
    wrong["heads.depth.predictions.1.bias"] = torch.zeros(3)
    torch.save(wrong, tmp_path / "wrong.pkl")
    message = complaint(tmp_path / "wrong.pkl")
    assert "1 missing: heads.edges.predictions.0.bias\n" in message
    assert "1 unexpected: heads.edges.predictions.0.bais\n" in message
    assert "1 of another shape: heads.depth.predictions.1.bias ((3,) in the weights, (1,) in the model)" in message


def test_truncated_weights_are_named(complaint, trained, tmp_path):
    whole = (trained / "best_model.pkl").read_bytes()
    (tmp_path / "cut.pkl").write_bytes(whole[: len(whole) // 2])
    message = complaint(tmp_path / "cut.pkl")
    assert f"{tmp_path / 'cut.pkl'} cannot be read as weights" in message and "cut short" in message


def test_missing_weights_are_named_with_where_they_were_looked_for(complaint, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELS", str(tmp_path))
    message = complaint(Path("nowhere.pkl"))
    assert "no weights file at nowhere.pkl" in message and str(tmp_path / "nowhere.pkl") in message


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_weights_is_refused_and_not_run(complaint, tmp_path):
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pkl")
    message = complaint(tmp_path / "trap.pkl")
    assert f"{tmp_path / 'trap.pkl'} holds Python objects" in message and "refused" in message
    assert not (tmp_path / "sprung").exists()


def test_a_run_state_is_not_weights(complaint, trained):
    assert "weights are in best_model.pkl and model_<step>.pkl, not in resume.pkl" in complaint(trained / "resume.pkl")
