"""berHu and L1 against hand-computed numbers, and what masks must not do."""

import pytest
import torch

from loss.depth import BerhuLoss, L1DepthLoss
from tests.helpers.forbid_sync import ForbidSync
from vendor.three_ways.berhu import berhu


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_berhu_by_hand():
    # Errors 0, 1, 2, 10 and one that is not measured; c = 2: 0, 1, 2, (100 + 4) / 4 = 26; mean over all five pixels.
    prediction, target = row(5.0, 6.0, 3.0, 15.0, 99.0), row(5.0, 5.0, 5.0, 5.0, -7.0)
    mask = torch.tensor([True, True, True, True, False]).view(1, 1, 1, 5)
    torch.testing.assert_close(berhu(prediction, target, mask), torch.tensor(29.0 / 5))


def test_berhu_threshold_is_that_of_the_whole_batch():
    prediction = torch.tensor([3.0, 10.0]).view(2, 1, 1, 1)
    # c = 2 comes from the second image; of its own the first would have c = 0.6 and (9 + 0.36) / 1.2.
    value = berhu(prediction, torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1, dtype=torch.bool))
    torch.testing.assert_close(value, torch.tensor(((9 + 4) / 4 + (100 + 4) / 4) / 2))


def test_berhu_threshold_is_a_constant_for_the_gradient():
    prediction = row(1.0, 4.0, -10.0).requires_grad_()
    berhu(prediction, row(0.0, 0.0, 0.0), torch.ones(1, 1, 1, 3, dtype=torch.bool)).backward()
    # Slope 1 up to c = 2, e / c beyond, with the sign of the error; over 3 pixels.
    torch.testing.assert_close(prediction.grad, row(1 / 3, 4 / 2 / 3, -10 / 2 / 3))


def test_berhu_gradcheck_with_a_fixed_threshold():
    """Away from its largest error, which sets the threshold, the loss is what numerical differences see."""
    others = torch.randn(1, 1, 3, 4, dtype=torch.float64).requires_grad_()
    largest = torch.full((1, 1, 3, 1), 9.0, dtype=torch.float64)
    target, mask = torch.zeros(1, 1, 3, 5, dtype=torch.float64), torch.ones(1, 1, 3, 5, dtype=torch.bool)
    mask[..., 0, 0] = False
    assert torch.autograd.gradcheck(lambda x: berhu(torch.cat([x, largest], 3), target, mask), others)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 0.0, -0.01])
def test_what_is_not_measured_may_hold_anything(garbage):
    depth = torch.rand(2, 1, 4, 5) * 20 + 1
    mask = torch.rand(2, 1, 4, 5) > 0.4
    for loss in (BerhuLoss(), L1DepthLoss()):
        results = []
        for fill in (depth, torch.where(mask, depth, garbage)):
            prediction = torch.linspace(1, 60, 40).view(2, 1, 4, 5).requires_grad_()
            value = loss(prediction, {"depth": fill, "depth_mask": mask})
            value.backward()
            results.append((value.detach(), prediction.grad))
        torch.testing.assert_close(results[0], results[1])
        assert not results[0][1][~mask].any()


def test_berhu_compares_inverse_depths():
    metres = torch.tensor([0.99, 6.5436]).view(1, 1, 1, 2)  # 655.36 / 1.00 and 655.36 / 6.5536 = 100
    batch = {"depth": metres, "depth_mask": torch.ones(1, 1, 1, 2, dtype=torch.bool)}
    assert BerhuLoss()(row(655.36, 100.0), batch).item() < 1e-3
    # Errors 5 and 0: c = 1, (25 + 1) / 2 over two pixels.
    torch.testing.assert_close(BerhuLoss()(row(660.36, 100.0), batch), torch.tensor(6.5), rtol=1e-4, atol=0)


def test_l1_by_hand():
    # |relu(-3) - 2| = 2, |7 - 4| = 3, one pixel not measured: mean over the two that are.
    mask = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    loss = L1DepthLoss()(row(-3.0, 7.0, 50.0), {"depth": row(2.0, 4.0, 9.0), "depth_mask": mask})
    torch.testing.assert_close(loss, torch.tensor(2.5))


@pytest.mark.parametrize("loss", [BerhuLoss(), L1DepthLoss()])
def test_nothing_measured_is_zero_with_zero_gradients(loss):
    prediction = torch.randn(2, 1, 4, 5, requires_grad=True)
    batch = {"depth": torch.full((2, 1, 4, 5), float("nan")), "depth_mask": torch.zeros(2, 1, 4, 5, dtype=torch.bool)}
    value = loss(prediction, batch)
    value.backward()
    assert value.item() == 0 and not prediction.grad.any()


def test_a_perfect_prediction_is_zero_with_zero_gradients():
    target = torch.rand(1, 1, 3, 3) * 100
    prediction = target.clone().requires_grad_()
    value = berhu(prediction, target, torch.ones(1, 1, 3, 3, dtype=torch.bool))
    value.backward()
    assert value.item() == 0 and not prediction.grad.any()


@pytest.mark.parametrize("loss", [BerhuLoss(), L1DepthLoss()])
def test_float32_under_autocast_and_no_waiting(loss):
    prediction = (torch.rand(2, 1, 4, 5) * 500).bfloat16()
    batch = {"depth": torch.rand(2, 1, 4, 5) * 20 + 1, "depth_mask": torch.rand(2, 1, 4, 5) > 0.2}
    expected = loss(prediction.float(), batch)
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        value = loss(prediction, batch)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
