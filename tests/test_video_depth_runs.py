"""Depth from video (SDE) end to end on the demo world's sequences: training, evaluation, resume, panels."""

import shutil
from pathlib import Path

import cv2
import pytest
import torch

import training.video_depth
from models.build import build_model
from models.published import is_published, to_published
from tests.helpers.runs import fails, only_run_folder, run_folders, run_here
from tests.helpers.video_runs import (
    ADAM,
    STEPS,
    experiment,
    log_lines,
    one_step,
    read,
    record_learned,
    record_steps,
    words,
)
from tests.test_resume import assert_same
from training.state import load_state


@pytest.fixture(scope="module")
def finished(demo_cityscapes, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYSCAPES_DIR", str(demo_cityscapes))
        patch.setenv("LOG_DIR", str(logs))
        assert run_here(patch, *words()) == 0
    return only_run_folder(logs)


@pytest.fixture(autouse=True)
def logs(demo_cityscapes, tmp_path, monkeypatch) -> Path:
    """LOG_DIR of the test."""
    monkeypatch.setenv("CITYSCAPES_DIR", str(demo_cityscapes))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def world(demo_cityscapes, tmp_path, monkeypatch) -> Path:
    """A copy of the dataset that the test may change."""
    root = shutil.copytree(demo_cityscapes, tmp_path / "cityscapes")
    monkeypatch.setenv("CITYSCAPES_DIR", str(root))
    return root


@pytest.fixture
def seen(monkeypatch) -> list[tuple[dict, dict]]:
    """(batch, losses) of every step."""
    return record_steps(monkeypatch)


@pytest.fixture
def learned(monkeypatch) -> set[str]:
    """Names of the parameters that had a gradient."""
    return record_learned(monkeypatch)


def test_a_run_logs_every_loss_and_learns_every_part(monkeypatch, learned, logs):
    assert run_here(monkeypatch, *words()) == 0
    first = log_lines(only_run_folder(logs))[0]
    losses = {name.removeprefix("train/"): value for name, value in first.items() if name.startswith("train/")}
    disp = [losses[f"disp_{scale}"] for scale in range(4)]
    assert set(losses) == {"total", "semseg", "semseg_0", "semseg_2", "disp", *(f"disp_{k}" for k in range(4))}
    assert losses["disp"] == pytest.approx(sum(disp) / 4) and 0 < losses["disp"] < 1
    assert losses["total"] == pytest.approx(losses["semseg"] + losses["disp"])
    parts = ("main.backbone.", "main.heads.semseg.", "main.heads.disp.", "main.exchanges.", "pose_net.encoder.")
    for part in (*parts, "pose_net.decoder."):
        assert any(name.startswith(part) for name in learned), part


def test_disparity_is_measured_with_and_without_median_scaling(finished):
    metrics = read(finished / "metrics.json")
    scaled, unscaled = (metrics["metrics"][output] for output in ("disp_0", "disp_0_unscaled"))
    assert set(scaled) == set(unscaled) >= {"rmse", "abs_rel", "a1"}
    # Without a known scale, untrained depth is far off; scaling by the median repairs just that.
    assert scaled["abs_rel"] < unscaled["abs_rel"]
    assert metrics["main"]["disp/rmse"] == scaled["rmse"]
    assert {"semseg_0", "semseg_2", "disp_3", "disp_3_unscaled"} <= set(metrics["metrics"])
    assert metrics["n_images"] == 4


@pytest.mark.parametrize("published", [False, True])
def test_evaluation_reproduces_the_run_from_weights_of_either_naming(finished, monkeypatch, logs, tmp_path, published):
    weights = finished / "best_model.pkl"
    if published:
        network = build_model(experiment("evaluate").config.setup, pretrained=False)
        state = to_published(torch.load(weights, weights_only=True), network)
        assert is_published(state) and {name.split(".")[0] for name in state} == {"main", "monodepth"}
        weights = tmp_path / "published.pkl"
        torch.save(state, weights)
    assert run_here(monkeypatch, *words("--evaluate", str(weights))) == 0
    (file,) = logs.glob("cityscapes/eval/resnet18_ours_SD/s42/*/metrics.json")
    again, then = read(file), read(finished / "metrics.json")
    for key in ("metrics", "main", "losses", "n_images"):
        assert again[key] == then[key], key


def test_evaluation_needs_no_sequences(finished, world, monkeypatch):
    shutil.rmtree(world / "leftImg8bit_sequence")
    assert run_here(monkeypatch, *words("--evaluate", str(finished / "best_model.pkl"))) == 0


def test_weights_without_their_pose_network_are_refused(finished, monkeypatch, capsys, tmp_path):
    state = torch.load(finished / "best_model.pkl", weights_only=True)
    torch.save({name: value for name, value in state.items() if "pose_net" not in name}, tmp_path / "main.pkl")
    message = fails(monkeypatch, capsys, *words("--evaluate", str(tmp_path / "main.pkl")))
    assert "missing: pose_net." in message


def test_three_steps_and_three_more_are_six(tmp_path, monkeypatch, seen):
    def train(name, iterations, *extra):
        monkeypatch.setenv("LOG_DIR", str(tmp_path / name))
        assert run_here(monkeypatch, *words(*extra, iterations=iterations, optim=ADAM)) == 0
        (folder,) = run_folders(tmp_path / name)
        return folder

    straight = train("straight", 6)
    images = [batch["filename"] for batch, _ in seen]
    seen.clear()
    train("parted", 3)
    torch.manual_seed(999)  # what happens between the two runs must not matter
    resumed = train("parted", 6, "--resume")
    assert [batch["filename"] for batch, _ in seen] == images and len(images) == 6
    (progress, strategy, random), (_, strategy_straight, random_straight) = (
        load_state(folder / "resume.pkl") for folder in (resumed, straight)
    )
    assert progress.step == 6 and progress.batches == {"source": 6}
    assert_same(strategy, strategy_straight)
    assert_same(random, random_straight)


def test_debug_leaves_nothing(monkeypatch, logs):
    one_step(monkeypatch)
    assert not logs.exists()


def test_panels_show_warped_frames_automask_and_disparity(monkeypatch, logs):
    shown = []
    original = training.video_depth.panel

    def panel(rows):
        shown.append([[title for title, _ in row] for row in rows])
        for _, picture in (cell for row in rows for cell in row):
            assert picture.shape == (64, 128, 3)
        return original(rows)

    monkeypatch.setattr(training.video_depth, "panel", panel)
    assert run_here(monkeypatch, *words(data__n_train_logged=1)) == 0
    assert shown == [
        [
            ["image", "disparity", "depth (up to scale)", "trained pixels"],
            ["frame -1, warped", "frame +1, warped", "photometric error"],
        ]
    ]
    (file,) = (only_run_folder(logs) / "panels").glob(f"{STEPS:06d}_video_*.png")
    assert cv2.imread(str(file)).shape >= (128, 512, 3)
