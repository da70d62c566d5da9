"""The cosine losses of surface normals, with derived and with stored targets."""

import pytest
import torch
import torch.nn.functional as F

from loss.normals import NormalsLoss, StoredNormalsLoss
from tests.helpers.forbid_sync import ForbidSync
from utils.geometry import metres_to_inverse, normals_from_depth


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    intrinsics = torch.tensor([[40.0, 0.0, 5.5], [0.0, 40.0, 4.5], [0.0, 0.0, 1.0]])
    return {
        "depth": torch.rand(2, 1, 10, 12) + torch.linspace(3, 9, 12),
        "depth_mask": torch.rand(2, 1, 10, 12) > 0.05,
        "normals": F.normalize(torch.randn(2, 3, 10, 12), dim=1),
        "normals_mask": torch.rand(2, 1, 10, 12) > 0.3,
        "intrinsics": intrinsics.expand(2, 3, 3),
    }


def test_same_opposite_and_orthogonal_vectors(batch):
    batch["normals"] = torch.tensor([0.0, 0.6, 0.8]).view(1, 3, 1, 1).expand(2, 3, 10, 12)
    for vector, expected in (((0.0, 3.0, 4.0), 0.0), ((0.0, -0.3, -0.4), 2.0), ((5.0, 0.0, 0.0), 1.0)):
        prediction = torch.tensor(vector).view(1, 3, 1, 1).expand(2, 3, 10, 12)
        value = StoredNormalsLoss()(prediction, batch)
        torch.testing.assert_close(value, torch.tensor(expected), rtol=0, atol=1e-6)


def test_equals_pytorchs_cosine_over_valid_pixels(batch):
    prediction = torch.randn(2, 3, 10, 12, requires_grad=True)
    value = StoredNormalsLoss()(prediction, batch)
    cosine = F.cosine_similarity(prediction, batch["normals"], dim=1)
    expected = (1 - cosine)[batch["normals_mask"][:, 0]].mean()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, prediction)[0] for v in (value, expected)))


@pytest.mark.parametrize("from_inverse_depth", [False, True])
def test_derived_targets_are_a_perfect_prediction(batch, from_inverse_depth):
    surface = metres_to_inverse(batch["depth"]) if from_inverse_depth else batch["depth"]
    normals, valid = normals_from_depth(surface, batch["depth_mask"], batch["intrinsics"])
    assert valid.any()
    right = NormalsLoss(from_inverse_depth=from_inverse_depth)(5 * normals, batch)
    other = NormalsLoss(from_inverse_depth=not from_inverse_depth)(5 * normals, batch)
    assert right.item() < 1e-6 < 0.01 < other.item()


@pytest.mark.parametrize("loss", [NormalsLoss(), NormalsLoss(from_inverse_depth=True), StoredNormalsLoss()])
def test_nothing_valid_is_zero_with_zero_gradients(batch, loss):
    none = torch.zeros(2, 1, 10, 12, dtype=torch.bool)
    prediction = torch.randn(2, 3, 10, 12, requires_grad=True)
    value = loss(prediction, batch | {"depth_mask": none, "normals_mask": none})
    value.backward()
    assert value.item() == 0 and not prediction.grad.any()


def test_prediction_of_nothing_has_a_finite_gradient(batch):
    prediction = torch.zeros(2, 3, 10, 12, requires_grad=True)
    value = StoredNormalsLoss()(prediction, batch)
    value.backward()
    torch.testing.assert_close(value, torch.tensor(1.0))
    assert torch.isfinite(prediction.grad).all()


def test_gradcheck(batch):
    batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    loss = StoredNormalsLoss()
    prediction = torch.randn(2, 3, 10, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: loss.compare(p, loss.target(batch)), prediction, atol=1e-4)


@pytest.mark.parametrize("loss", [NormalsLoss(), StoredNormalsLoss()])
def test_float32_under_autocast_and_no_waiting(batch, loss):
    prediction = torch.randn(2, 3, 10, 12).bfloat16()
    expected = loss(prediction.float(), batch)
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        value = loss(prediction, batch)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
