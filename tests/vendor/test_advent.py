"""The self-information map by hand."""

import math

import pytest
import torch

from vendor.advent.entropy import self_information


def test_equals_the_formula_on_probabilities():
    logits = 4 * torch.randn(2, 5, 6, 7)
    p = logits.softmax(1)
    torch.testing.assert_close(self_information(logits), -p * torch.log2(p + 1e-30) / math.log2(5))


def test_two_classes_by_hand_in_float32():
    """p = 1/4, 3/4: -1/4 log2(1/4) = 1/2 and -3/4 log2(3/4) = 0.311278; and half of 1 each where both are as likely."""
    logits = torch.tensor([0.0, math.log(3.0)]).view(1, 2, 1, 1)
    assert self_information(logits).flatten().tolist() == pytest.approx([0.5, 0.311278], abs=1e-6)
    uniform = self_information(torch.zeros(1, 2, 1, 1, dtype=torch.bfloat16))
    assert uniform.flatten().tolist() == [0.5, 0.5] and uniform.dtype == torch.float32


def test_certain_prediction_has_none_and_a_finite_gradient():
    """Logits so far apart that p underflows to exactly 0: 0 * log(0) must not appear."""
    logits = torch.tensor([500.0, -500.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    information = self_information(logits)
    information.sum().backward()
    assert logits.softmax(1)[0, 1].item() == 0
    assert not information.any() and torch.isfinite(logits.grad).all()
