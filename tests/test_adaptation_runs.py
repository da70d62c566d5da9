"""Runs of domain adaptation on the demo world: train, resume, evaluate; the bounds; other tasks and datasets."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.runs import SMALL, dotted, fails, run_folders, run_here
from tests.test_resume import assert_same
from training.adaptation import Adaptation
from training.state import load_state

BASE, CONFIGS = "configs/demo/da/fs_bs4.yml", "configs/demo/da"
SMALL_PAIR = {key: value for key, value in SMALL.items() if key not in ("data.width", "data.height")} | {
    f"data.{role}.{side}": size for role in ("source", "target") for side, size in (("width", 128), ("height", 64))
}
ADAPTED = ["semseg_1", "semseg_0", "depth_1", "depth_0"]
RESNET18 = {
    "setup.model.backbone": "resnet18",
    "setup.model.use_dilation": False,
    "setup.model.pretrain": "none",
}
NARROW = "[16, 16, 16, 16, 16]"


def arguments(*extra, config=f"{CONFIGS}/resnet18_ours_SD.yml", base=BASE, small=SMALL_PAIR, **overrides):
    """Command line of a small run that adapts from its first step."""
    values = small | dotted(overrides)
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return ["--base", base, "--config", config, "--device", "cpu", "-w", *settings, *extra]


@pytest.fixture(autouse=True)
def logs(demo_synthia, demo_cityscapes, demo_vkitti2, tmp_path, monkeypatch) -> Path:
    """LOG_DIR of the test; all datasets are there."""
    monkeypatch.setenv("SYNTHIA_DIR", str(demo_synthia))
    monkeypatch.setenv("CITYSCAPES_DIR", str(demo_cityscapes))
    monkeypatch.setenv("VKITTI2_DIR", str(demo_vkitti2))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def seen(monkeypatch):
    """Names of the images of both streams, in order."""
    names = []
    original = Adaptation.backward

    def backward(self, batches, *, step, share):
        names.append({stream: batch["filename"] for stream, batch in batches.items()})
        return original(self, batches, step=step, share=share)

    monkeypatch.setattr(Adaptation, "backward", backward)
    return names


def only_folder(logs: Path, pair: str = "synthia2cityscapes") -> Path:
    (folder,) = run_folders(logs)
    assert folder.relative_to(logs).parts[0] == pair
    return folder


def log_lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def logged(folder: Path) -> set[str]:
    """Names of everything in a run's log."""
    return {name for line in log_lines(folder) for name in line}


def test_three_steps_and_three_more_are_six(tmp_path, monkeypatch, seen):
    options = {
        "training__da__doda": 2,
        "training__max_iterations": 10,
        "data__augmentations__random_horizontal_flip": 0.5,
    }

    def train(name, iterations, *extra):
        monkeypatch.setenv("LOG_DIR", str(tmp_path / name))
        assert run_here(monkeypatch, *arguments(*extra, training__iterations=iterations, **options)) == 0
        return load_state(only_folder(tmp_path / name) / "resume.pkl")

    straight = train("straight", 6)
    seen_straight, seen[:] = list(seen), []
    train("parted", 3)
    torch.manual_seed(999)  # what happens between the two runs must not matter
    progress, strategy, random = train("parted", 6, "--resume")

    assert seen == seen_straight and len(seen) == 6
    assert_same(strategy, straight[1])
    assert_same(random, straight[2])
    assert progress.batches == straight[0].batches == {"source": 6, "target": 6}
    judges = [f"discriminator_{name}" for name in ADAPTED]
    assert [sorted(strategy[kind]) for kind in ("networks", "optimizers", "schedulers")] == [
        sorted(["model", *judges])
    ] * 3
    for judge in judges:
        assert all("exp_avg" in state for state in strategy["optimizers"][judge]["state"].values())
        assert strategy["optimizers"][judge]["param_groups"][0]["lr"] == pytest.approx(1e-4 * (1 - 6 / 10) ** 0.9)
    assert strategy["optimizers"]["model"]["param_groups"][0]["lr"] == pytest.approx(1e-3 / 2)  # as configured
    _each_stream_goes_round_on_its_own(seen)


def _each_stream_goes_round_on_its_own(seen):
    """10 source images are 5 batches of 2, 6 target images 3: each begins anew when it is through, not before."""
    for stream, count in (("source", 10), ("target", 6)):
        names = [name for step in seen for name in step[stream]]
        assert len(set(names[:count])) == count
        again = names[count : 2 * count]
        assert set(again) <= set(names[:count]) and len(set(again)) == len(again)


@pytest.fixture(scope="module")
def adapted(demo_synthia, demo_cityscapes, tmp_path_factory) -> Path:
    """The folder of a run that adapted for 2 steps and was validated at its end."""
    logs = tmp_path_factory.mktemp("adapted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHIA_DIR", str(demo_synthia))
        patch.setenv("CITYSCAPES_DIR", str(demo_cityscapes))
        patch.setenv("LOG_DIR", str(logs))
        assert run_here(patch, *arguments(training__iterations=2, training__da__doda=1)) == 0
    return only_folder(logs)


def test_a_run_logs_every_loss_by_name(adapted):
    names = logged(adapted)
    for kind in ("adv", "dis_src", "dis_tgt", "dis_acc"):
        assert {f"train/{kind}_{name}" for name in ADAPTED} <= names
    assert {f"lr/discriminator_{name}" for name in ADAPTED} <= names


def test_metrics_have_the_miou_over_16_and_over_13_classes(adapted):
    scores = json.loads((adapted / "metrics.json").read_text())["metrics"]["semseg_0"]
    assert scores["mIoU"] is not None and scores["mIoU_13"] is not None
    present = {name: value for name, value in scores["IoU"].items() if value is not None}
    usual = [value for name, value in present.items() if name not in ("wall", "fence", "pole")]
    assert len(scores["IoU"]) == 16
    assert scores["mIoU"] == pytest.approx(sum(present.values()) / len(present))
    assert scores["mIoU_13"] == pytest.approx(sum(usual) / len(usual))


def test_panels_show_both_domains_and_what_is_aligned(adapted):
    names = [path.name for path in (adapted / "panels").rglob("*.png")]
    for kind in ("train_source", "train_target", "valid", "maps"):
        assert any(kind in name for name in names), names


def test_evaluation_needs_no_source_dataset(adapted, logs, monkeypatch):
    monkeypatch.delenv("SYNTHIA_DIR")
    assert run_here(monkeypatch, *arguments("--evaluate", str(adapted / "best_model.pkl"))) == 0
    (metrics,) = logs.rglob("metrics.json")
    assert metrics.relative_to(logs).parts[:2] == ("synthia2cityscapes", "eval")
    alone, trained = json.loads(metrics.read_text()), json.loads((adapted / "metrics.json").read_text())
    assert alone["n_images"] == 4
    for output in ("semseg_0", "depth_0"):
        for name in ("mIoU", "mIoU_13", "Acc") if output == "semseg_0" else ("rmse", "abs_rel"):
            assert alone["metrics"][output][name] == pytest.approx(trained["metrics"][output][name]), name


def test_training_without_the_source_says_which_variable(monkeypatch, capsys):
    monkeypatch.delenv("SYNTHIA_DIR")
    message = fails(monkeypatch, capsys, *arguments())
    assert "data.source.path" in message and "SYNTHIA_DIR" in message


def test_source_only_never_looks_at_the_targets_training_images(logs, monkeypatch, seen):
    config = f"{CONFIGS}/resnet18_source_only_SD.yml"
    assert run_here(monkeypatch, *arguments(config=config, training__iterations=2)) == 0
    assert [list(step) for step in seen] == [["source"]] * 2
    folder = only_folder(logs)
    assert list(load_state(folder / "resume.pkl")[1]["networks"]) == ["model"]
    assert not any("adv_" in name or "dis_" in name for name in logged(folder))
    assert json.loads((folder / "metrics.json").read_text())["n_images"] == 4  # the target's


def test_oracle_trains_on_the_targets_labels(logs, monkeypatch):
    config = f"{CONFIGS}/resnet18_oracle_SD.yml"
    small = SMALL | {"data.width": 128}
    assert run_here(monkeypatch, *arguments(config=config, small=small, training__iterations=2)) == 0
    folder = only_folder(logs, "cityscapes")
    assert "mIoU_13" in json.loads((folder / "metrics.json").read_text())["metrics"]["semseg_0"]


def narrow(*tasks):
    """Overrides that make the network of a published experiment small."""
    return RESNET18 | {f"setup.model.tasks.{task}.kwargs.num_ch_dec": NARROW for task in tasks}


def test_virtual_kitti_with_8_classes_and_a_part_cut_from_the_source(logs, monkeypatch):
    cut = {"data.source.width": 208, "data.source.crop_w": 128, "data.source.crop_h": 64}
    options = arguments(
        config="configs/da/vk2cs/resnet101_ours_SD.yml",
        base="configs/da/vk2cs/fs_bs2.yml",
        small=SMALL_PAIR | narrow("semseg", "depth") | cut,
        training__iterations=2,
    )
    assert run_here(monkeypatch, *options) == 0
    folder = only_folder(logs, "vkitti22cityscapes")
    scores = json.loads((folder / "metrics.json").read_text())["metrics"]["semseg_0"]
    assert len(scores["IoU"]) == 8 and "mIoU_13" not in scores
    assert {f"train/adv_{name}" for name in ADAPTED} <= logged(folder)


def test_surface_normals_are_aligned_too(logs, monkeypatch):
    options = arguments(
        config="configs/da/sy2cs/resnet101_ours_SDN.yml",
        base="configs/da/sy2cs/fs_bs2.yml",
        small=SMALL_PAIR | narrow("semseg", "depth", "normals"),
        training__iterations=2,
    )
    assert run_here(monkeypatch, *options) == 0
    folder = only_folder(logs)
    assert {f"train/adv_{name}" for name in [*ADAPTED, "normals_1", "normals_0"]} <= logged(folder)
    weight = load_state(folder / "resume.pkl")[1]["networks"]["discriminator_normals_0"]
    assert next(value for value in weight.values() if value.dim() == 4).shape[1] == 3
    assert json.loads((folder / "metrics.json").read_text())["metrics"]["normals_0"]["mean"] is not None


def test_a_scale_the_network_does_not_have_is_refused(logs, monkeypatch, capsys):
    message = fails(monkeypatch, capsys, *arguments(training__da__ent_align="[2, 0]"))
    assert "training.da.ent_align: the scales [2] are not among those of semseg" in message
    assert not logs.exists()


def test_a_target_without_a_word_on_adaptation_is_refused(logs, monkeypatch, capsys):
    message = fails(monkeypatch, capsys, *arguments(training__da="null"))
    assert "training.da: data.target is given: say how to adapt" in message and "doda: False" in message
    assert not logs.exists()
