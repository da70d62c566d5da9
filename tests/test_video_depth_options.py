"""Depth from video (SDE): which frames and labels are used, and every option of the network and the loss."""

import shutil
from pathlib import Path

import pytest
import torch

from models.build import build_model
from models.encoder import Encoder
from models.pose import PoseNet
from tests.helpers.runs import fails, only_run_folder, run_here
from tests.helpers.video_runs import ADAM, experiment, log_lines, one_step, record_learned, record_steps, words
from training.build import build_strategy
from training.distributed import Processes
from training.state import load_state
from utils.constants import IGNORE_INDEX

FULL_CONFIG = Path("configs/cityscapes/monodepth/resnet101_ours_SD.yml")


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


# --- data ---


@pytest.mark.parametrize("folder", ["leftImg8bit_sequence", "leftImg8bit_sequence/train"])
def test_missing_sequences_are_named_with_their_archive(world, monkeypatch, capsys, logs, folder):
    shutil.rmtree(world / folder)
    message = fails(monkeypatch, capsys, *words())
    assert str(world / "leftImg8bit_sequence" / "train") in message
    assert "leftImg8bit_sequence_trainvaltest.zip" in message
    assert not logs.exists()


def _sequence_files(world: Path) -> list[Path]:
    return sorted((world / "leftImg8bit_sequence" / "train").glob("*/*.png"))


def test_samples_without_their_neighbours_are_left_out_and_counted(world, monkeypatch, capfd, seen):
    first = _sequence_files(world)[0]  # the frame before a labelled one
    first.unlink()
    assert run_here(monkeypatch, *words("--debug", data__train_bs=5)) == 0
    output = "".join(capfd.readouterr())
    assert "1 of 6 samples left out, as a neighbouring frame (frame_ids [0, -1, 1]) is not on disk" in output
    recording, number = first.name.removesuffix("_leftImg8bit.png").rsplit("_", 1)
    orphan = f"{recording}_{int(number) + 1:06d}"
    ((batch, _),) = seen
    names = {Path(name).name for name in batch["filename"]}
    assert len(names) == 5 and orphan not in names


def test_no_sample_with_its_neighbours_is_an_error(world, monkeypatch, capsys):
    for file in _sequence_files(world)[::3]:
        file.unlink()
    message = fails(monkeypatch, capsys, *words())
    assert "no sample of the split 'train'" in message and str(world) in message


def test_labelled_and_unlabelled_images_in_one_batch(monkeypatch, seen, learned):
    """Two of six images keep their labels; all train depth."""
    subset = {"data__restrict_to_subset": "{mode: fixed, subset: [0, 3]}", "training__iterations": 3}
    assert run_here(monkeypatch, *words(data__train_bs=3, **subset)) == 0
    labelled = {}
    for batch, losses in seen:
        has_labels = (batch["semseg"] != IGNORE_INDEX).flatten(1).any(dim=1).tolist()
        labelled |= dict(zip(batch["filename"], has_labels, strict=True))
        assert (losses["semseg"] > 0) == any(has_labels) and losses["semseg"].isfinite()
        assert 0 < losses["disp"] < 1
    assert sorted(labelled.values()) == [False] * 4 + [True] * 2


def test_a_batch_without_labels_trains_depth_alone(monkeypatch, seen, learned):
    one_step(monkeypatch, data__restrict_to_subset="{mode: fixed, subset: [0]}", data__load_labeled=False)
    ((batch, losses),) = seen
    assert (batch["semseg"] == IGNORE_INDEX).all()
    assert losses["semseg"] == 0 and losses["total"] == losses["disp"] > 0
    assert any(name.startswith("main.heads.disp.") for name in learned)
    assert not any(name.startswith("main.heads.semseg.predictions") for name in learned)


def test_every_frame_of_the_sequences_can_be_a_sample(monkeypatch, seen):
    """Of 18 frames the 6 with both neighbours."""
    one_step(monkeypatch, data__only_sequences_with_segmentation=False, data__train_bs=6)
    ((batch, losses),) = seen
    assert len(set(batch["filename"])) == 6 and losses["disp"] > 0


@pytest.mark.parametrize("frames", [[0, -1], [0, 1], [1, 0, -1]])
def test_frame_lists(monkeypatch, seen, frames):
    one_step(monkeypatch, data__frame_ids=frames)
    ((batch, losses),) = seen
    found = {int(key.removeprefix("frame_")) for key in batch if key.removeprefix("frame_").lstrip("-").isdigit()}
    assert found == set(frames) and losses["disp"] > 0


def test_the_loss_may_use_fewer_frames_than_are_loaded(monkeypatch, seen):
    one_step(monkeypatch, setup__loss__tasks__disp__kwargs__frame_ids=[0, -1])
    assert seen[0][1]["disp"] > 0


CROP = {"data__width": 192, "data__crop_w": 64, "data__crop_h": 64, "data__augmentations__random_horizontal_flip": 1}


@pytest.fixture
def pose_sizes(monkeypatch) -> set[tuple[int, int]]:
    """(height, width) of what the pose network saw."""
    sizes = set()
    original = PoseNet.forward

    def forward(self, frames):
        sizes.update(tuple(frame.shape[-2:]) for frame in frames)
        return original(self, frames)

    monkeypatch.setattr(PoseNet, "forward", forward)
    return sizes


@pytest.mark.parametrize(("uncropped", "width"), [(False, 64), (True, 192)])
def test_crops_and_what_the_pose_network_sees_of_them(monkeypatch, seen, pose_sizes, logs, uncropped, width):
    pose = f"{{provide_uncropped_for_pose: {uncropped}}}"
    options = CROP | {"setup__model__pose_kwargs": pose, "data__n_train_logged": 1}
    assert run_here(monkeypatch, *words(iterations=1, **options)) == 0
    ((batch, losses),) = seen
    assert batch["image"].shape == batch["frame_-1"].shape == (2, 3, 64, 64)
    assert pose_sizes == {(64, width)} and ("frame_0_pose" in batch) == uncropped
    assert 0 < losses["disp"] < 1
    assert len(list((only_run_folder(logs) / "panels").glob("*_video_*.png"))) == 1


# --- networks and losses ---


def test_one_pose_for_all_frames_at_once(monkeypatch, seen, learned):
    one_step(monkeypatch, setup__model__pose_kwargs="{pose_model_input: all}")
    assert seen[0][1]["disp"] > 0
    assert any(name.startswith("pose_net.decoder.") for name in learned)


@pytest.mark.parametrize("option", ["no_ssim", "avg_reprojection", "disable_automasking"])
def test_options_of_the_loss_change_it(monkeypatch, seen, option):
    one_step(monkeypatch)
    one_step(monkeypatch, **{f"setup__loss__tasks__disp__kwargs__{option}": True})
    (batch, plain), (batch_again, changed) = seen
    assert batch["filename"] == batch_again["filename"]
    assert changed["semseg"] == plain["semseg"] and changed["disp"] > 0
    if option == "no_ssim":  # L1 of images in [0, 1] is small beside 1 - SSIM
        assert changed["disp"] < plain["disp"]
    else:  # both leave out a minimum
        assert changed["disp"] > plain["disp"]


def test_frozen_parts_do_not_learn(monkeypatch, logs, learned):
    options = {"setup__model__freeze_backbone": True, "setup__model__pose_kwargs": "{freeze: True}"}
    assert run_here(monkeypatch, *words(**options)) == 0
    assert learned and all(name.startswith(("main.heads.", "main.exchanges.")) for name in learned)
    _, strategy, _ = load_state(only_run_folder(logs) / "resume.pkl")
    torch.manual_seed(0)
    state = strategy["networks"]["model"]
    fresh = build_model(experiment(**options).config.setup, pretrained=False).state_dict()
    for name, value in state.items():
        if name.startswith(("main.backbone.", "pose_net.")) and "running_" in name:
            assert torch.equal(value, fresh[name]), name  # batch norm saw no image


METHODS = {
    "baseline": {},
    "3ways": {},
    "padnet": {"setup__loss__tasks__disp__kwargs__scales": [0]},
}


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_learn_depth_from_video_too(monkeypatch, seen, learned, method):
    one_step(monkeypatch, setup__name=f"{method}_monodepth", **METHODS[method])
    ((_, losses),) = seen
    assert losses["semseg"] > 0 and 0 < losses["disp"] < 1
    for part in ("main.backbone.", "main.heads.semseg.", "main.heads.disp.", "pose_net."):
        assert any(name.startswith(part) for name in learned), part


def test_feature_distance_is_logged_and_not_saved(monkeypatch, logs):
    monkeypatch.setattr(Encoder, "load_imagenet", lambda self: None)  # random features do as well here
    assert run_here(monkeypatch, *words(setup__model__feature_dist=True)) == 0
    folder = only_run_folder(logs)
    losses = {name: value for name, value in log_lines(folder)[0].items() if name.startswith("train/")}
    assert losses["train/feature_distance"] > 0
    parts = (losses[f"train/{name}"] for name in ("semseg", "disp", "feature_distance"))
    assert losses["train/total"] == pytest.approx(sum(parts))
    saved = torch.load(folder / "best_model.pkl", weights_only=True)
    assert set(saved) == set(build_model(experiment().config.setup, pretrained=False).state_dict())


@pytest.mark.timeout(300)
def test_the_published_experiment_takes_a_step_at_a_small_size():
    """ResNet-101 and all: the values of the paper's file, but for sizes and where weights start from."""
    options = {"data__crop_w": 64, "data__crop_h": 64, "setup__model__pretrain": "none", "optim": ADAM}
    loaded = experiment(config=FULL_CONFIG, **options)
    strategy, _ = build_strategy(loaded, torch.device("cpu"), Processes(), resumes=False)
    assert sum(parameter.numel() for parameter in strategy.model.parameters()) == 99_904_944
    dataset = strategy.datasets["source"]
    batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
    before = {name: value.clone() for name, value in strategy.model.state_dict().items() if "predictions" in name}
    strategy.train()
    losses = strategy.backward({"source": batch}, step=1, share=1.0)
    strategy.update()
    assert all(value.isfinite() for value in losses.values()) and 0 < losses["disp"] < 1
    after = strategy.model.state_dict()
    assert before and not any(torch.equal(after[name], value) for name, value in before.items())
