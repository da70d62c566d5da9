"""Depth from video (SDE) end to end on the demo world's sequences: training, evaluation, panels, every option."""

import shutil
from pathlib import Path

import cv2
import pytest
import torch

from models.build import build_model
from models.encoder import Encoder
from models.pose import PoseNet
from models.published import is_published, to_published
from tests.helpers.runs import (
    evaluated,
    fails,
    log_lines,
    only_run_folder,
    read_json,
    record_steps,
    run_here,
    train,
    weights_of,
)
from tests.helpers.video_runs import STEPS, experiment, words
from training.build import build_strategy
from training.distributed import Processes
from training.state import load_state
from training.strategy import Strategy
from utils.constants import IGNORE_INDEX

SEQUENCES = "leftImg8bit_sequence/train"
FULL_CONFIG = Path("configs/cityscapes/monodepth/resnet101_ours_SD.yml")
pytestmark = pytest.mark.usefixtures("logs")


@pytest.fixture
def own_cityscapes(demo_cityscapes, logs, tmp_path, monkeypatch) -> Path:
    """A copy of the dataset that the test may change."""
    root = shutil.copytree(demo_cityscapes, tmp_path / "cityscapes")
    monkeypatch.setenv("CITYSCAPES_DIR", str(root))
    return root


@pytest.fixture
def seen(monkeypatch) -> list[tuple[dict, dict]]:
    return record_steps(monkeypatch)


def record_learned(monkeypatch) -> set[str]:
    """A set that from now on gets the name of every parameter with a gradient other than zero."""
    names = set()
    original = Strategy.update

    def update(self):
        parameters = self.model.named_parameters()
        names.update(name for name, value in parameters if value.grad is not None and value.grad.any())
        original(self)

    monkeypatch.setattr(Strategy, "update", update)
    return names


@pytest.fixture
def learned(monkeypatch) -> set[str]:
    return record_learned(monkeypatch)


@pytest.fixture
def one_step(monkeypatch, seen):
    """A debug run, which keeps nothing; gives its batch and losses."""

    def one_step(**overrides: object) -> tuple[dict, dict]:
        assert run_here(monkeypatch, *words("--debug", **overrides)) == 0
        batches, losses = seen.pop()
        assert not seen and 0 < losses["disp"] < 1
        return batches["source"], losses

    return one_step


# --- a run ---


@pytest.fixture(scope="module")
def run_and_learned(world, tmp_path_factory) -> tuple[Path, set[str]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        learned = record_learned(monkeypatch)
        return train(tmp_path_factory.mktemp("logs"), world, *words(data__n_train_logged=1)), learned


@pytest.fixture(scope="module")
def finished(run_and_learned) -> Path:
    return run_and_learned[0]


def test_a_run_logs_every_loss_learns_every_part_and_shows_what_it_warps(run_and_learned):
    folder, learned = run_and_learned
    first = log_lines(folder)[0]
    losses = {name.removeprefix("train/"): value for name, value in first.items() if name.startswith("train/")}
    disp = [losses[f"disp_{scale}"] for scale in range(4)]
    assert set(losses) == {"total", "semseg", "semseg_0", "semseg_2", "disp", *(f"disp_{k}" for k in range(4))}
    assert losses["disp"] == pytest.approx(sum(disp) / 4) and 0 < losses["disp"] < 1
    assert losses["total"] == pytest.approx(losses["semseg"] + losses["disp"])
    parts = ("main.backbone.", "main.heads.semseg.", "main.heads.disp.", "main.exchanges.", "pose_net.encoder.")
    for part in (*parts, "pose_net.decoder."):
        assert any(name.startswith(part) for name in learned), part
    (file,) = (folder / "panels").glob(f"{STEPS:06d}_video_*.png")
    height, width, _ = cv2.imread(str(file)).shape
    assert width >= 4 * 128 and height >= 2 * 64  # image, disparity, depth, mask; two warped frames and their error


def test_disparity_is_measured_with_and_without_median_scaling(finished):
    metrics = read_json(finished / "metrics.json")
    scaled, unscaled = (metrics["metrics"][output] for output in ("disp_0", "disp_0_unscaled"))
    assert set(scaled) == set(unscaled) >= {"rmse", "abs_rel", "a1"}
    # Without a known scale, untrained depth is far off; scaling by the median repairs just that.
    assert scaled["abs_rel"] < unscaled["abs_rel"]
    assert metrics["main"]["disp/rmse"] == scaled["rmse"]
    assert {"semseg_0", "semseg_2", "disp_3", "disp_3_unscaled"} <= set(metrics["metrics"])
    assert metrics["n_images"] == 4


@pytest.mark.parametrize("published", [False, True])
def test_evaluation_without_sequences_reproduces_the_run_from_weights_of_either_naming(
    finished, own_cityscapes, monkeypatch, logs, tmp_path, published
):
    shutil.rmtree(own_cityscapes / "leftImg8bit_sequence")
    weights = finished / "best_model.pkl"
    if published:
        network = build_model(experiment("evaluate").config.setup, pretrained=False)
        state = to_published(weights_of(weights), network)
        assert is_published(state) and {name.split(".")[0] for name in state} == {"main", "monodepth"}
        weights = tmp_path / "published.pkl"
        torch.save(state, weights)
    assert run_here(monkeypatch, *words("--evaluate", str(weights))) == 0
    again, then = (read_json(folder / "metrics.json") for folder in (evaluated(logs), finished))
    for key in ("metrics", "main", "losses", "n_images"):
        assert again[key] == then[key], key


def test_weights_without_their_pose_network_are_refused(finished, monkeypatch, capsys, tmp_path):
    state = weights_of(finished / "best_model.pkl")
    torch.save({name: value for name, value in state.items() if "pose_net" not in name}, tmp_path / "main.pkl")
    assert "missing: pose_net." in fails(monkeypatch, capsys, *words("--evaluate", str(tmp_path / "main.pkl")))


# --- data ---


@pytest.mark.parametrize("folder", ["leftImg8bit_sequence", SEQUENCES])
def test_missing_sequences_are_named_with_their_archive(own_cityscapes, monkeypatch, capsys, logs, folder):
    shutil.rmtree(own_cityscapes / folder)
    message = fails(monkeypatch, capsys, *words())
    assert str(own_cityscapes / SEQUENCES) in message and "leftImg8bit_sequence_trainvaltest.zip" in message
    assert not logs.exists()


def test_samples_without_their_neighbours_are_left_out_and_counted(own_cityscapes, capfd, one_step):
    first = min((own_cityscapes / SEQUENCES).glob("*/*.png"))  # the frame before a labelled one
    first.unlink()
    batch, _ = one_step(data__train_bs=5)
    output = "".join(capfd.readouterr())
    assert "1 of 6 samples left out" in output and "frame_ids" in output
    recording, number = first.name.removesuffix("_leftImg8bit.png").rsplit("_", 1)
    orphan = f"{recording}_{int(number) + 1:06d}"
    names = {Path(name).name for name in batch["filename"]}
    assert len(names) == 5 and orphan not in names


def test_no_sample_with_its_neighbours_is_an_error(own_cityscapes, monkeypatch, capsys):
    for file in sorted((own_cityscapes / SEQUENCES).glob("*/*.png"))[::3]:
        file.unlink()
    message = fails(monkeypatch, capsys, *words())
    assert "no sample of the split 'train'" in message and str(own_cityscapes) in message


def test_labelled_and_unlabelled_images_in_one_batch(monkeypatch, seen):
    """Two of six images keep their labels; all train depth."""
    subset = {"data__restrict_to_subset": "{mode: fixed, subset: [0, 3]}", "training__iterations": 3}
    assert run_here(monkeypatch, *words(data__train_bs=3, **subset)) == 0
    labelled = {}
    for batches, losses in seen:
        batch = batches["source"]
        has_labels = (batch["semseg"] != IGNORE_INDEX).flatten(1).any(dim=1).tolist()
        labelled |= dict(zip(batch["filename"], has_labels, strict=True))
        assert (losses["semseg"] > 0) == any(has_labels) and losses["semseg"].isfinite()
        assert 0 < losses["disp"] < 1
    assert sorted(labelled.values()) == [False] * 4 + [True] * 2


def test_a_batch_without_labels_trains_depth_alone(one_step, learned):
    batch, losses = one_step(data__restrict_to_subset="{mode: fixed, subset: [0]}", data__load_labeled=False)
    assert (batch["semseg"] == IGNORE_INDEX).all()
    assert losses["semseg"] == 0 and losses["total"] == losses["disp"]
    assert any(name.startswith("main.heads.disp.") for name in learned)
    assert not any(name.startswith("main.heads.semseg.predictions") for name in learned)


def test_every_frame_of_the_sequences_can_be_a_sample(one_step):
    batch, _ = one_step(data__only_sequences_with_segmentation=False, data__train_bs=6)
    assert len(set(batch["filename"])) == 6  # of 18 those with both neighbours


@pytest.mark.parametrize("frames", [[0, -1], [1, 0]])
def test_frame_lists(one_step, frames):
    batch, _ = one_step(data__frame_ids=frames)
    assert {offset for offset in (-1, 0, 1) if f"frame_{offset}" in batch} == set(frames)


@pytest.mark.parametrize(("uncropped", "width"), [(False, 64), (True, 192)])
def test_crops_and_what_the_pose_network_sees_of_them(monkeypatch, seen, logs, uncropped, width):
    sizes = set()
    original = PoseNet.forward

    def forward(self, frames):
        sizes.update(tuple(frame.shape[-2:]) for frame in frames)
        return original(self, frames)

    monkeypatch.setattr(PoseNet, "forward", forward)
    crop = {"data__width": 192, "data__crop_w": 64, "data__crop_h": 64}
    crop |= {"data__augmentations__random_horizontal_flip": 1, "data__n_train_logged": 1}
    pose = f"{{provide_uncropped_for_pose: {uncropped}}}"
    assert run_here(monkeypatch, *words(iterations=1, setup__model__pose_kwargs=pose, **crop)) == 0
    ((batches, losses),) = seen
    assert batches["source"]["image"].shape == batches["source"]["frame_-1"].shape == (2, 3, 64, 64)
    assert sizes == {(64, width)} and ("frame_0_pose" in batches["source"]) == uncropped
    assert 0 < losses["disp"] < 1
    assert len(list((only_run_folder(logs) / "panels").glob("*_video_*.png"))) == 1


# --- networks and losses ---


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ours-cxatt", {"setup__model__pose_kwargs": "{pose_model_input: all}"}),  # one pose for all frames at once
        ("ours-cxatt", {"setup__loss__tasks__disp__kwargs__frame_ids": [0, -1]}),  # fewer frames than are loaded
        ("baseline", {}),
        ("3ways", {}),
        ("padnet", {"setup__loss__tasks__disp__kwargs__scales": [0]}),
    ],
)
def test_every_method_learns_depth_from_video(one_step, learned, logs, name, options):
    _, losses = one_step(setup__name=f"{name}_monodepth", **options)
    assert losses["semseg"] > 0
    for part in ("main.backbone.", "main.heads.semseg.", "main.heads.disp.", "pose_net.decoder."):
        assert any(name.startswith(part) for name in learned), part
    assert not logs.exists()


def test_options_of_the_loss_change_it(one_step):
    batch, plain = one_step()
    for option in ("no_ssim", "avg_reprojection", "disable_automasking"):
        batch_again, changed = one_step(**{f"setup__loss__tasks__disp__kwargs__{option}": True})
        assert batch["filename"] == batch_again["filename"] and changed["semseg"] == plain["semseg"]
        # L1 of images in [0, 1] is small beside 1 - SSIM; both others leave out a minimum.
        assert (changed["disp"] < plain["disp"]) if option == "no_ssim" else (changed["disp"] > plain["disp"])


def test_frozen_parts_do_not_learn(monkeypatch, logs, learned):
    options = {"setup__model__freeze_backbone": True, "setup__model__pose_kwargs": "{freeze: True}"}
    assert run_here(monkeypatch, *words(**options)) == 0
    assert learned and all(name.startswith(("main.heads.", "main.exchanges.")) for name in learned)
    state = load_state(only_run_folder(logs) / "resume.pkl")[1]["networks"]["model"]
    fresh = build_model(experiment(**options).config.setup, pretrained=False).state_dict()
    for name, value in state.items():
        if name.startswith(("main.backbone.", "pose_net.")) and "running_" in name:
            assert torch.equal(value, fresh[name]), name  # batch norm saw no image


def test_feature_distance_is_logged_and_not_saved(monkeypatch, logs):
    monkeypatch.setattr(Encoder, "load_imagenet", lambda self: None)  # random features do as well here
    assert run_here(monkeypatch, *words(setup__model__feature_dist=True)) == 0
    folder = only_run_folder(logs)
    losses = {name: value for name, value in log_lines(folder)[0].items() if name.startswith("train/")}
    assert losses["train/feature_distance"] > 0
    parts = (losses[f"train/{name}"] for name in ("semseg", "disp", "feature_distance"))
    assert losses["train/total"] == pytest.approx(sum(parts))
    saved = weights_of(folder / "best_model.pkl")
    assert set(saved) == set(build_model(experiment().config.setup, pretrained=False).state_dict())


@pytest.mark.timeout(300)
def test_the_published_experiment_takes_a_step_at_a_small_size():
    """ResNet-101 and all: the values of the paper's file, but for sizes and where weights start from."""
    options = {"data__crop_w": 64, "data__crop_h": 64, "setup__model__pretrain": "none"}
    loaded = experiment(config=FULL_CONFIG, optim="{name: Adam}", **options)
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
