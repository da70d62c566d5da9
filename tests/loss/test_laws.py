"""What holds for every supervised loss, and the few numbers that pin a definition. A new loss is a line of `LOSSES`."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import TaskLoss
from loss.depth import BerhuLoss, L1DepthLoss
from loss.edges import EdgesLoss
from loss.normals import NormalsLoss, StoredNormalsLoss
from loss.semseg import CrossEntropyLoss
from tests.helpers.forbid_sync import ForbidSync
from utils.constants import IGNORE_INDEX
from utils.geometry import metres_to_inverse, normals_from_depth

Batch = dict[str, Tensor]
CLASSES, HEIGHT, WIDTH = 5, 8, 10


def inverse(batch: Batch) -> Tensor:
    return 65536 / (100 * batch["depth"] + 1)


def surface(batch: Batch, depth: Tensor) -> tuple[Tensor, Tensor]:
    return normals_from_depth(depth, batch["depth_mask"], batch["intrinsics"])


def cosine_error(prediction: Tensor, normals: Tensor, mask: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(prediction, normals, dim=1))[mask[:, 0]].mean()


def berhu_error(prediction: Tensor, batch: Batch) -> Tensor:
    """The mean is over all pixels, the threshold that of the batch and a constant for the gradient."""
    error = (prediction - inverse(batch))[batch["depth_mask"]].abs()
    c = 0.2 * error.max().item()
    return torch.cat([error[error <= c], (error[error > c] ** 2 + c**2) / (2 * c)]).sum() / prediction.numel()


def cross_entropy(key: str, weight: list[float] | None = None) -> Callable[[Tensor, Batch], Tensor]:
    weights = None if weight is None else torch.tensor(weight)
    return lambda prediction, batch: F.cross_entropy(prediction, batch[key], weights, ignore_index=IGNORE_INDEX)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return 40.0 * F.one_hot(labels.where(labels != IGNORE_INDEX, 0), classes).movedim(-1, 1)


@dataclass(frozen=True)
class Case:
    """A loss, its definition in other words, a perfect prediction, and where the batch says what counts."""

    loss: TaskLoss
    definition: Callable[[Tensor, Batch], Tensor]
    perfect: Callable[[Batch], Tensor]
    counts: Callable[[Batch], Tensor]


def labelled(key: str) -> Callable[[Batch], Tensor]:
    return lambda batch: batch[key].unsqueeze(1) != IGNORE_INDEX


def l1(prediction: Tensor, batch: Batch) -> Tensor:
    return (prediction.relu() - batch["depth"])[batch["depth_mask"]].abs().mean()


def derived(from_inverse: bool) -> Case:
    def target(batch: Batch) -> tuple[Tensor, Tensor]:
        return surface(batch, inverse(batch) if from_inverse else batch["depth"])

    return Case(
        NormalsLoss(from_inverse_depth=from_inverse),
        lambda prediction, batch: cosine_error(prediction, *target(batch)),
        lambda batch: 5 * target(batch)[0],
        lambda batch: target(batch)[1],
    )


def edges(**kwargs: float) -> Case:
    weight = kwargs.get("pos_weight", 0.95)
    definition = cross_entropy("edges", [1 - weight, weight])
    return Case(EdgesLoss(**kwargs), definition, lambda b: one_hot(b["edges"], 2), labelled("edges"))


LOSSES = {
    "cross_entropy": Case(
        CrossEntropyLoss(), cross_entropy("semseg"), lambda b: one_hot(b["semseg"], CLASSES), labelled("semseg")
    ),
    "berhu": Case(BerhuLoss(), berhu_error, lambda b: metres_to_inverse(b["depth"]), lambda b: b["depth_mask"]),
    "L1_depth": Case(L1DepthLoss(), l1, lambda b: b["depth"], lambda b: b["depth_mask"]),
    "edges": edges(),
    "edges, other weight": edges(pos_weight=0.2),
    "normals": derived(False),
    "normals of inverse depth": derived(True),
    "gt_normals": Case(
        StoredNormalsLoss(),
        lambda p, b: cosine_error(p, b["normals"], b["normals_mask"]),
        lambda b: 5 * b["normals"],
        lambda b: b["normals_mask"],
    ),
}


@pytest.fixture(params=LOSSES)
def case(request: pytest.FixtureRequest) -> Case:
    return LOSSES[request.param]


@pytest.fixture
def batch() -> Batch:
    """Labels of all tasks, a tenth of the pixels and the last image but one pixel without any."""
    missing = torch.rand(3, 1, HEIGHT, WIDTH) < 0.1
    missing[2] = True
    missing[2, :, 4, 4] = False
    shape = (3, HEIGHT, WIDTH)
    return {
        "semseg": torch.randint(0, CLASSES, shape).masked_fill(missing[:, 0], IGNORE_INDEX),
        "edges": (torch.rand(shape) < 0.2).long().masked_fill(missing[:, 0], IGNORE_INDEX),
        "depth": torch.rand(3, 1, HEIGHT, WIDTH) + torch.linspace(3, 9, WIDTH),
        "depth_mask": ~missing,
        "normals": F.normalize(torch.randn(3, 3, HEIGHT, WIDTH), dim=1),
        "normals_mask": ~missing,
        "intrinsics": torch.tensor([[40.0, 0.0, 5.5], [0.0, 40.0, 4.5], [0.0, 0.0, 1.0]]).expand(3, 3, 3),
    }


def unmeasured(batch: Batch) -> Batch:
    none = torch.zeros_like(batch["depth_mask"])
    nothing = {key: torch.full_like(batch[key], IGNORE_INDEX) for key in ("semseg", "edges")}
    return batch | nothing | {"depth_mask": none, "normals_mask": none}


def near(perfect: Tensor) -> Tensor:
    """A prediction that is neither good nor hopeless."""
    return perfect + perfect.abs().max() / 2 * torch.randn_like(perfect)


def with_gradient(loss: Callable[[Tensor, Batch], Tensor], prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    prediction = prediction.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(prediction, batch)
    assert value.shape == ()
    return value.detach(), torch.autograd.grad(value, prediction)[0]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_its_definition(case: Case, batch: Batch, memory_format: torch.memory_format):
    prediction = near(case.perfect(batch)).to(memory_format=memory_format)
    assert 0.05 < case.counts(batch).float().mean() < 0.95
    torch.testing.assert_close(
        with_gradient(case.loss, prediction, batch), with_gradient(case.definition, prediction, batch)
    )


def test_a_perfect_prediction_costs_nothing(case: Case, batch: Batch):
    value, gradient = with_gradient(case.loss, case.perfect(batch), batch)
    assert value < 1e-5 and gradient.abs().max() < 1e-5
    assert case.loss(near(case.perfect(batch)), batch) > 0.01


def test_the_order_of_images_does_not_matter(case: Case, batch: Batch):
    prediction, turned = near(case.perfect(batch)), {name: value.flip(0) for name, value in batch.items()}
    torch.testing.assert_close(case.loss(prediction.flip(0), turned), case.loss(prediction, batch))


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 0.0, -0.01])
def test_what_is_not_measured_may_hold_anything_and_gives_no_gradient(case: Case, batch: Batch, garbage: float):
    prediction, ignored = near(case.perfect(batch)), ~case.counts(batch)
    expected = with_gradient(case.loss, prediction, batch)
    batch["depth"] = batch["depth"].where(batch["depth_mask"], garbage)
    batch["normals"] = batch["normals"].where(batch["normals_mask"], 7.0)
    torch.testing.assert_close(with_gradient(case.loss, prediction, batch), expected)
    assert not expected[1][ignored.expand_as(prediction)].any()
    assert case.loss(torch.where(ignored, 1e3, prediction), batch) == expected[0]


def test_nothing_measured_is_zero_with_zero_gradients(case: Case, batch: Batch):
    value, gradient = with_gradient(case.loss, near(case.perfect(batch)), unmeasured(batch))
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("size", [0.0, 1e-20, 1e6])
def test_gradients_are_finite(case: Case, batch: Batch, size: float):
    value, gradient = with_gradient(case.loss, size * near(case.perfect(batch)), batch)
    assert value.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast_without_waiting_or_changing_the_batch(case: Case, batch: Batch, dtype: torch.dtype):
    prediction = near(case.perfect(batch)).to(dtype)
    expected = case.loss(prediction.float(), batch)
    before = {name: value.clone() for name, value in batch.items()}
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        value = case.loss(prediction, batch)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    assert all(torch.equal(batch[name], value) for name, value in before.items())


# --- numbers ---


def test_berhu_by_hand():
    # Errors 1, 2, 10 and one that is not measured; c = 2 is that of the whole batch: 1, 2, (100 + 4) / 4 = 26, over 4.
    depth = torch.tensor([0.99, 0.99, 6.5436, 9.0]).view(2, 1, 1, 2)  # 655.36 / 1.00 and 655.36 / 6.5536 = 100
    batch = {"depth": depth, "depth_mask": torch.tensor([True, True, True, False]).view(2, 1, 1, 2)}
    prediction = torch.tensor([656.36, 653.36, 110.0, 0.0]).view(2, 1, 1, 2)
    torch.testing.assert_close(BerhuLoss()(prediction, batch), torch.tensor(29 / 4), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("vector", "expected"), [((0, 3, 4), 0), ((0, -0.3, -0.4), 2), ((5, 0, 0), 1), ((0, 0, 0), 1)])
def test_same_opposite_orthogonal_and_no_vectors(batch: Batch, vector: tuple[float, ...], expected: float):
    batch["normals"] = torch.tensor([0.0, 0.6, 0.8]).view(1, 3, 1, 1).expand(3, 3, HEIGHT, WIDTH)
    prediction = torch.tensor(vector, dtype=torch.float32).view(1, 3, 1, 1).expand(3, 3, HEIGHT, WIDTH)
    assert StoredNormalsLoss()(prediction, batch).item() == pytest.approx(expected, abs=1e-6)


def test_only_edges_count_at_full_weight():
    """pos_weight 1 leaves nothing to weigh in an image without edges: 0, not NaN."""
    assert EdgesLoss(pos_weight=1.0)(torch.randn(1, 2, 6, 7), {"edges": torch.zeros(1, 6, 7, dtype=torch.int64)}) == 0
