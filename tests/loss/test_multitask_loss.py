"""The sum over tasks and scales, from the config to the gradients."""

import pytest
import torch
import torch.nn.functional as F

from loss.base import TaskLoss
from loss.build import build_loss
from loss.depth import BerhuLoss, L1DepthLoss
from loss.edges import EdgesLoss
from loss.multitask import MultiTaskLoss
from loss.normals import NormalsLoss, StoredNormalsLoss
from loss.semseg import CrossEntropyLoss
from tests.helpers.forbid_sync import ForbidSync
from utils.config.schema.loss import LossConfig

HEIGHT, WIDTH = 8, 12
CHANNELS = {"semseg": 5, "depth": 1, "normals": 3, "edges": 2}
FULL = {
    "tasks": {
        "semseg": {"loss": "cross_entropy", "kwargs": {"weight": 100, "scales": [0, 1]}},
        "depth": {"loss": "berhu", "kwargs": {"weight": [1, 0.5], "scales": [1, 0]}},
        "normals": {"loss": "normals", "kwargs": {"weight": 100, "scales": [0, 1]}},
        "edges": {"loss": "edges", "kwargs": {"weight": 50, "scales": [0]}},
    }
}


@pytest.fixture
def batch() -> dict:
    intrinsics = torch.tensor([[40.0, 0.0, 5.5], [0.0, 40.0, 4.5], [0.0, 0.0, 1.0]])
    return {
        "image": torch.rand(2, 3, HEIGHT, WIDTH),
        "semseg": torch.randint(0, 5, (2, HEIGHT, WIDTH)),
        "depth": torch.rand(2, 1, HEIGHT, WIDTH) * 20 + 1,
        "depth_mask": torch.rand(2, 1, HEIGHT, WIDTH) > 0.1,
        "edges": (torch.rand(2, HEIGHT, WIDTH) < 0.2).long(),
        "intrinsics": intrinsics.expand(2, 3, 3),
        "filename": ["a", "b"],
    }


@pytest.fixture
def predictions() -> dict[str, dict[int, torch.Tensor]]:
    return {
        task: {s: torch.randn(2, n, HEIGHT >> s, WIDTH >> s, requires_grad=True) for s in (0, 1)}
        for task, n in CHANNELS.items()
    }


def loss_of(**tasks: dict) -> MultiTaskLoss:
    return build_loss(LossConfig.model_validate({"tasks": tasks}))


def test_sum_of_weighted_means_over_scales(batch, predictions):
    losses = build_loss(LossConfig.model_validate(FULL))(predictions, batch)
    names = "total semseg semseg_0 semseg_1 depth depth_1 depth_0 normals normals_0 normals_1 edges edges_0"
    assert list(losses) == names.split()

    def at(loss, task: str, scale: int) -> torch.Tensor:
        prediction = F.interpolate(predictions[task][scale], (HEIGHT, WIDTH), mode="bilinear", align_corners=True)
        return loss(prediction, batch)

    expected = {
        "semseg_1": at(CrossEntropyLoss(), "semseg", 1),
        "depth_0": at(BerhuLoss(), "depth", 0),
        "depth_1": at(BerhuLoss(), "depth", 1),
        "normals_1": at(NormalsLoss(), "normals", 1),
        "edges_0": at(EdgesLoss(), "edges", 0),
    }
    expected["depth"] = (1 * expected["depth_1"] + 0.5 * expected["depth_0"]) / 2
    expected["semseg"] = 100 * (losses["semseg_0"] + losses["semseg_1"]) / 2
    expected["total"] = losses["semseg"] + losses["depth"] + losses["normals"] + losses["edges"]
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name)
        assert losses[name].shape == ()
    torch.testing.assert_close(losses["edges"], 50 * losses["edges_0"])


def test_every_supervised_prediction_learns(batch, predictions):
    build_loss(LossConfig.model_validate(FULL))(predictions, batch)["total"].backward()
    unused = {("edges", 1)}
    for task, scales in predictions.items():
        for scale, prediction in scales.items():
            assert (prediction.grad is None) == ((task, scale) in unused), (task, scale)


def test_targets_are_made_once_for_all_scales(batch, predictions, monkeypatch):
    loss = build_loss(LossConfig.model_validate(FULL))
    calls = []
    for task, task_loss in loss.losses.items():
        original = task_loss.target
        monkeypatch.setattr(task_loss, "target", lambda b, t=task, f=original: calls.append(t) or f(b))
    loss(predictions, batch)
    assert calls == ["semseg", "depth", "normals", "edges"]


def test_leaves_the_batch_as_it_is(batch, predictions):
    before = {name: value.clone() for name, value in batch.items() if isinstance(value, torch.Tensor)}
    loss = build_loss(LossConfig.model_validate(FULL))
    loss(predictions, batch)["total"].backward()
    with torch.inference_mode():
        loss(predictions, batch)
    for name, value in before.items():
        assert torch.equal(batch[name], value) and batch[name]._version == 0, name


def test_final_scale_is_not_resized(batch, predictions, monkeypatch):
    monkeypatch.setattr(F, "interpolate", lambda *a, **k: pytest.fail("resized a prediction of the label's size"))
    loss_of(semseg={"loss": "cross_entropy", "kwargs": {"scales": [0]}})(predictions, batch)


def test_float32_under_autocast_and_no_waiting(batch, predictions):
    loss = build_loss(LossConfig.model_validate(FULL))
    half = {task: {s: p.detach().bfloat16() for s, p in scales.items()} for task, scales in predictions.items()}
    full = {task: {s: p.float() for s, p in scales.items()} for task, scales in half.items()}
    expected = loss(full, batch)
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        losses = loss(half, batch)
    for name, value in losses.items():
        assert value.dtype == torch.float32 and torch.equal(value, expected[name]), name


class AutocastProbe(TaskLoss):
    """A loss of 1 that fails where autocast may still choose the precision."""

    label = "semseg"

    def target(self, batch):
        assert not torch.is_autocast_enabled("cpu")
        return (batch["semseg"],)

    def compare(self, prediction, target):
        assert not torch.is_autocast_enabled("cpu") and prediction.dtype == torch.float32
        return prediction.new_ones(())


def test_autocast_chooses_no_precision_inside_a_loss(batch, predictions):
    probe = AutocastProbe()
    with torch.autocast("cpu", torch.bfloat16):
        assert probe(predictions["semseg"][0].bfloat16(), batch) == 1
        losses = MultiTaskLoss(losses={"semseg": probe}, weights={"semseg": {1: 3.0}})(predictions, batch)
    assert losses["total"] == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_does_not_wait_for_a_real_gpu(batch, predictions):
    batch = {name: v.cuda() if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
    predictions = {
        task: {s: p.detach().cuda().requires_grad_() for s, p in v.items()} for task, v in predictions.items()
    }
    loss = build_loss(LossConfig.model_validate(FULL))
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(predictions, batch)["total"].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_everything_masked_is_zero_with_zero_gradients(batch, predictions):
    batch["semseg"] = torch.full_like(batch["semseg"], 250)
    batch["edges"] = torch.full_like(batch["edges"], 250)
    batch["depth_mask"] = torch.zeros_like(batch["depth_mask"])
    losses = build_loss(LossConfig.model_validate(FULL))(predictions, batch)
    losses["total"].backward()
    assert all(value.item() == 0 for value in losses.values())
    assert not any(p.grad.any() for scales in predictions.values() for p in scales.values() if p.grad is not None)


class TestBuild:
    def test_every_name_and_its_options(self):
        loss = loss_of(
            semseg={"loss": "cross_entropy"},
            depth={"loss": "L1_depth", "kwargs": {"median_scaling": False, "min_depth": 1e-3, "max_depth": 80}},
            normals={"loss": "gt_normals"},
            edges={"loss": "edges", "kwargs": {"pos_weight": 0.8}},
        )
        types = [CrossEntropyLoss, L1DepthLoss, StoredNormalsLoss, EdgesLoss]
        assert [type(task_loss) for task_loss in loss.losses.values()] == types
        assert loss.losses["edges"].pos_weight == 0.8
        assert isinstance(loss_of(depth={"loss": "berhu"}).losses["depth"], BerhuLoss)

    @pytest.mark.parametrize(("kwargs", "expected"), [({}, False), ({"from_inverse_depth": True}, True)])
    def test_surface_of_the_derived_normals(self, kwargs, expected):
        loss = loss_of(normals={"loss": "normals", "kwargs": kwargs})
        assert loss.losses["normals"].from_inverse_depth is expected

    def test_edges_default_to_the_published_weight(self):
        assert loss_of(edges={"loss": "edges"}).losses["edges"].pos_weight == 0.95

    def test_has_nothing_to_train_and_nothing_to_save(self):
        assert not build_loss(LossConfig.model_validate(FULL)).state_dict()

    def test_photometric_task_is_left_out(self, batch, predictions):
        loss = loss_of(semseg={"loss": "cross_entropy"}, disp={"loss": "ssde", "kwargs": {"scales": [0, 1, 2, 3]}})
        assert list(loss(predictions, batch)) == ["total", "semseg", "semseg_0"]

    def test_photometric_task_alone_gives_a_total_of_zero(self, batch):
        losses = loss_of(disp={"loss": "ssde", "kwargs": {"scales": [0]}})({"disp": {}}, batch)
        assert list(losses) == ["total"] and losses["total"].item() == 0
