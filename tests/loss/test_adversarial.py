"""Alignment maps by hand, and the signs of the adversarial game on two pixels."""

import math

import pytest
import torch
import torch.nn.functional as F

from loss.adversarial import (
    SOURCE,
    TARGET,
    alignment_map,
    domain_accuracy,
    domain_bce,
    inverse_depth_range,
)
from tests.helpers.forbid_sync import ForbidSync
from utils.geometry import metres_to_inverse


def test_semseg_map_is_self_information_at_full_size():
    logits = torch.randn(2, 4, 3, 5)
    p = F.interpolate(logits, (6, 10), mode="bilinear", align_corners=True).softmax(1)
    expected = -p * torch.log2(p + 1e-30) / math.log2(4)
    torch.testing.assert_close(alignment_map("semseg", logits, (6, 10)), expected)


def test_depth_map_is_inverse_depth_within_the_source_range():
    prediction = torch.tensor([[-3.0, 10.0], [60.0, 110.0]]).view(1, 1, 2, 2)
    result = alignment_map("depth", prediction, (2, 2), (torch.tensor(10.0), torch.tensor(110.0)))
    assert result.flatten().tolist() == pytest.approx([-0.1, 0.0, 0.5, 1.0])


def test_normals_map_has_unit_vectors_after_the_resize():
    result = alignment_map("normals", 5 * torch.randn(2, 3, 4, 4), (9, 7))
    torch.testing.assert_close(result.norm(dim=1), torch.ones(2, 9, 7))


def test_task_without_map_and_depth_without_range_are_refused():
    with pytest.raises(ValueError, match="'disp'"):
        alignment_map("disp", torch.zeros(1, 1, 2, 2), (2, 2))
    with pytest.raises(ValueError, match="depth_range"):
        alignment_map("depth", torch.zeros(1, 1, 2, 2), (2, 2))


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([False, True, True, False], (metres_to_inverse(50.0), metres_to_inverse(2.0))),
        ([False, True, False, False], (metres_to_inverse(2.0), metres_to_inverse(2.0) + 1)),  # never empty
        ([False] * 4, (0.0, 1.0)),
    ],
)
def test_range_is_that_of_measured_pixels(measured: list[bool], expected: tuple[float, float]):
    depth = torch.tensor([0.0, 2.0, 50.0, 900.0]).view(1, 1, 2, 2)
    low, high = inverse_depth_range(depth, torch.tensor(measured).view(1, 1, 2, 2))
    assert (low.item(), high.item()) == pytest.approx(expected)


def test_signs_on_two_pixels():
    """A discriminator that answers +s * x on two pixels of a map; x must move towards what it calls source."""
    maps = torch.tensor([1.0, -2.0], requires_grad=True)
    slope = torch.tensor(1.0, requires_grad=True)
    logits = slope * maps

    fooled = domain_bce(logits, SOURCE)

    # -log(1 - sigmoid(x)) = log(1 + e^x), meaned over both pixels
    assert fooled.item() == pytest.approx((math.log1p(math.exp(1)) + math.log1p(math.exp(-2))) / 2)
    (gradient,) = torch.autograd.grad(fooled, maps, retain_graph=True)
    assert (gradient > 0).all()  # descent lowers both logits: more "source"

    # The discriminator, shown x = 1 as target and x = -2 as source, gets surer with a larger slope.
    learned = domain_bce(logits[:1], TARGET) + domain_bce(logits[1:], SOURCE)
    assert learned.item() == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.exp(-2)))
    assert torch.autograd.grad(learned, slope)[0] < 0


def test_accuracy_counts_logits_on_the_right_side():
    logits = torch.tensor([3.0, -1.0, 2.0, 0.5], requires_grad=True)
    of_target = domain_accuracy(logits, TARGET)
    assert of_target.item() == 0.75 and domain_accuracy(logits, SOURCE).item() == 0.25
    assert not of_target.requires_grad


@pytest.mark.parametrize(("task", "channels"), [("semseg", 4), ("depth", 1), ("normals", 3)])
def test_adversarial_step_is_float32_and_never_waits_for_the_device(task: str, channels: int):
    prediction = torch.rand(1, channels, 2, 2, dtype=torch.bfloat16)
    depth, mask = 1 + torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4) > 0.5
    with ForbidSync():
        seen = alignment_map(task, prediction, (4, 4), inverse_depth_range(depth, mask))
        domain_bce(seen, SOURCE), domain_accuracy(seen, TARGET)
    assert seen.shape == (1, channels, 4, 4) and seen.dtype == torch.float32
