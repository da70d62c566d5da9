"""The sum over tasks and scales, from the config to the gradients. What each loss computes is in `test_laws.py`."""

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
    "semseg": {"loss": "cross_entropy", "kwargs": {"weight": 100, "scales": [0, 1]}},
    "depth": {"loss": "berhu", "kwargs": {"weight": [1, 0.5], "scales": [1, 0]}},
    "normals": {"loss": "normals", "kwargs": {"weight": 100, "scales": [0, 1]}},
    "edges": {"loss": "edges", "kwargs": {"weight": 50, "scales": [0]}},
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
    losses = loss_of(**FULL)(predictions, batch)
    names = "total semseg semseg_0 semseg_1 depth depth_1 depth_0 normals normals_0 normals_1 edges edges_0"
    assert list(losses) == names.split()
    members = {"semseg": CrossEntropyLoss(), "depth": BerhuLoss(), "normals": NormalsLoss(), "edges": EdgesLoss()}
    expected = {}
    for name in names.split():
        task, _, scale = name.partition("_")
        if scale:
            prediction = predictions[task][int(scale)]
            full = F.interpolate(prediction, (HEIGHT, WIDTH), mode="bilinear", align_corners=True)
            expected[name] = members[task](full, batch)
    expected["semseg"] = 100 * (expected["semseg_0"] + expected["semseg_1"]) / 2
    expected["depth"] = (1 * expected["depth_1"] + 0.5 * expected["depth_0"]) / 2
    expected["normals"] = 100 * (expected["normals_0"] + expected["normals_1"]) / 2
    expected["edges"] = 50 * expected["edges_0"]
    expected["total"] = sum(expected[task] for task in members)
    torch.testing.assert_close(losses, {name: expected[name] for name in losses})

    losses["total"].backward()
    without = [(task, scale) for task, scales in predictions.items() for scale in scales if scales[scale].grad is None]
    assert without == [("edges", 1)]


def test_float32_under_autocast_without_waiting_or_changing_the_batch(batch, predictions):
    loss = loss_of(**FULL)
    half = {task: {s: p.detach().bfloat16() for s, p in scales.items()} for task, scales in predictions.items()}
    full = {task: {s: p.float() for s, p in scales.items()} for task, scales in half.items()}
    before = {name: value.clone() for name, value in batch.items() if isinstance(value, torch.Tensor)}
    expected = loss(full, batch)
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        losses = loss(half, batch)
    for name, value in losses.items():
        assert value.dtype == torch.float32 and torch.equal(value, expected[name]), name
    assert all(torch.equal(batch[name], value) for name, value in before.items())


class Probe(TaskLoss):
    """A loss of 1 that fails where autocast may still choose the precision, and counts the targets it made."""

    label = "semseg"
    targets = 0

    def target(self, batch):
        assert not torch.is_autocast_enabled("cpu")
        self.targets += 1
        return (batch["semseg"],)

    def compare(self, prediction, target):
        assert not torch.is_autocast_enabled("cpu") and prediction.dtype == torch.float32
        return prediction.new_ones(())


def test_autocast_chooses_no_precision_inside_a_loss_and_targets_are_made_once_for_all_scales(batch, predictions):
    probe = Probe()
    half = {"semseg": {scale: value.bfloat16() for scale, value in predictions["semseg"].items()}}
    with torch.autocast("cpu", torch.bfloat16):
        assert probe(half["semseg"][0], batch) == 1
        losses = MultiTaskLoss(losses={"semseg": probe}, weights={"semseg": {0: 2.0, 1: 4.0}})(half, batch)
    assert losses["total"] == 3 and probe.targets == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_does_not_wait_for_a_real_gpu(batch, predictions):
    batch = {name: v.cuda() if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
    predictions = {
        task: {s: p.detach().cuda().requires_grad_() for s, p in v.items()} for task, v in predictions.items()
    }
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss_of(**FULL)(predictions, batch)["total"].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("task", "name", "kwargs", "kind", "options"),
    [
        ("semseg", "cross_entropy", {}, CrossEntropyLoss, {}),
        ("depth", "berhu", {}, BerhuLoss, {}),
        ("depth", "L1_depth", {"median_scaling": False, "min_depth": 1e-3, "max_depth": 80}, L1DepthLoss, {}),
        ("normals", "normals", {}, NormalsLoss, {"from_inverse_depth": False}),
        ("normals", "normals", {"from_inverse_depth": True}, NormalsLoss, {"from_inverse_depth": True}),
        ("normals", "gt_normals", {}, StoredNormalsLoss, {}),
        ("edges", "edges", {}, EdgesLoss, {"pos_weight": 0.95}),  # the published weight
        ("edges", "edges", {"pos_weight": 0.8}, EdgesLoss, {"pos_weight": 0.8}),
    ],
)
def test_build_knows_every_name_and_its_options(task, name, kwargs, kind, options):
    loss = loss_of(**{task: {"loss": name, "kwargs": kwargs}})
    assert type(loss.losses[task]) is kind and not loss.state_dict()
    assert {option: getattr(loss.losses[task], option) for option in options} == options


def test_photometric_task_is_left_out(batch, predictions):
    disp = {"loss": "ssde", "kwargs": {"scales": [0, 1, 2, 3]}}
    both = loss_of(semseg={"loss": "cross_entropy"}, disp=disp)(predictions, batch)
    assert list(both) == ["total", "semseg", "semseg_0"]
    assert loss_of(disp=disp)({"disp": {}}, batch) == {"total": 0}
