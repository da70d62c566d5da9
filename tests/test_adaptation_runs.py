"""Runs of domain adaptation on the demo world: train, evaluate; the bounds; other tasks and datasets."""

import re
from pathlib import Path

import pytest

from tests.helpers.adaptation_runs import ADAPTED, CONFIGS, SMALL_PAIR, arguments
from tests.helpers.runs import (
    SMALL,
    evaluated,
    fails,
    log_lines,
    names_of,
    only_run_folder,
    read_json,
    record_steps,
    run_here,
    train,
)
from training.state import load_state

# A published experiment made small, its source wider than what is cut from it.
PUBLISHED = {
    "setup.model.backbone": "resnet18",
    "setup.model.use_dilation": False,
    "setup.model.pretrain": "none",
    **{f"setup.model.tasks.{task}.kwargs.num_ch_dec": [16] * 5 for task in ("semseg", "depth", "normals")},
    "data.source.width": 208,
    "data.source.crop_w": 128,
    "data.source.crop_h": 64,
}


@pytest.fixture(scope="module")
def adapted(world, tmp_path_factory) -> Path:
    """The folder of a run that adapted for 2 steps and was validated at its end."""
    words = arguments(training__iterations=2, training__da__doda=1)
    return train(tmp_path_factory.mktemp("adapted"), world, *words)


def logged(folder: Path) -> set[str]:
    """Names of everything in a run's log."""
    return {name for line in log_lines(folder) for name in line}


def test_a_run_logs_every_loss_by_name_and_shows_both_domains_and_what_is_aligned(adapted):
    kinds = [f"train/{kind}" for kind in ("adv", "dis_src", "dis_tgt", "dis_acc")] + ["lr/discriminator"]
    assert {f"{kind}_{name}" for kind in kinds for name in ADAPTED} <= logged(adapted)
    names = [path.name for path in (adapted / "panels").rglob("*.png")]
    for kind in ("train_source", "train_target", "valid", "maps"):
        assert any(kind in name for name in names), names


def test_metrics_have_the_miou_over_16_and_over_13_classes(adapted):
    scores = read_json(adapted / "metrics.json")["metrics"]["semseg_0"]
    present = {name: value for name, value in scores["IoU"].items() if value is not None}
    usual = [value for name, value in present.items() if name not in ("wall", "fence", "pole")]
    assert len(scores["IoU"]) == 16
    assert scores["mIoU"] == pytest.approx(sum(present.values()) / len(present))
    assert scores["mIoU_13"] == pytest.approx(sum(usual) / len(usual))


def test_evaluation_needs_no_source_dataset_and_training_says_which_variable(adapted, logs, monkeypatch, capsys):
    monkeypatch.delenv("SYNTHIA_DIR")
    assert run_here(monkeypatch, *arguments("--evaluate", str(adapted / "best_model.pkl"))) == 0
    folder = evaluated(logs)
    assert folder.relative_to(logs).parts[0] == "synthia2cityscapes"
    alone, trained = (read_json(path / "metrics.json") for path in (folder, adapted))
    assert alone["n_images"] == 4 and alone["metrics"] == trained["metrics"]
    message = fails(monkeypatch, capsys, *arguments())
    assert "data.source.path" in message and "SYNTHIA_DIR" in message


def test_source_only_never_looks_at_the_targets_training_images(logs, monkeypatch):
    steps = record_steps(monkeypatch)
    words = arguments(config=f"{CONFIGS}/resnet18_source_only_SD.yml", training__iterations=2)
    assert run_here(monkeypatch, *words) == 0
    assert [list(step) for step in names_of(steps)] == [["source"]] * 2
    folder = only_run_folder(logs)
    assert list(load_state(folder / "resume.pkl")[1]["networks"]) == ["model"]
    assert not any("adv_" in name or "dis_" in name for name in logged(folder))
    assert read_json(folder / "metrics.json")["n_images"] == 4  # the target's


def test_oracle_trains_on_the_targets_labels(logs, monkeypatch):
    small = SMALL | {"data.width": 128}
    words = arguments(config=f"{CONFIGS}/resnet18_oracle_SD.yml", small=small, training__iterations=1)
    assert run_here(monkeypatch, *words) == 0
    folder = only_run_folder(logs)
    assert folder.relative_to(logs).parts[0] == "cityscapes"
    assert "mIoU_13" in read_json(folder / "metrics.json")["metrics"]["semseg_0"]


def test_virtual_kitti_with_8_classes_surface_normals_and_a_part_cut_from_the_source(logs, monkeypatch):
    words = arguments(
        config="configs/da/vk2cs/resnet101_ours_SDN.yml",
        base="configs/da/vk2cs/fs_bs2.yml",
        small=SMALL_PAIR | PUBLISHED,
        training__iterations=2,
    )
    assert run_here(monkeypatch, *words) == 0
    folder = only_run_folder(logs)
    assert folder.relative_to(logs).parts[0] == "vkitti22cityscapes"
    metrics = read_json(folder / "metrics.json")["metrics"]
    assert len(metrics["semseg_0"]["IoU"]) == 8 and "mIoU_13" not in metrics["semseg_0"]
    assert metrics["normals_0"]["mean"] is not None
    assert {f"train/adv_{name}" for name in [*ADAPTED, "normals_1", "normals_0"]} <= logged(folder)
    weight = load_state(folder / "resume.pkl")[1]["networks"]["discriminator_normals_0"]
    assert next(value for value in weight.values() if value.dim() == 4).shape[1] == 3


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"training__da__ent_align": "[2, 0]"}, "training.da.ent_align: .*2.*semseg"),
        ({"training__da": "null"}, "training.da: data.target is given.*doda: False"),
    ],
)
def test_what_cannot_be_aligned_is_refused(logs, monkeypatch, capsys, overrides, expected):
    assert re.search(expected, fails(monkeypatch, capsys, *arguments(**overrides)), re.S)
    assert not logs.exists()
