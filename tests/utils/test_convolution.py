"""Convolutions with a weight gradient of our own against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils import convolution
from utils.convolution import Conv2d, convolve

FORMATS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}


def leaves(x, weight, bias):
    return [value.clone(memory_format=torch.preserve_format).requires_grad_() for value in (x, weight, bias)]


@pytest.fixture(autouse=True)
def _own_gradient(monkeypatch):
    monkeypatch.setattr(convolution, "OWN_GRADIENT", True)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_equals_pytorchs(kernel, padding, memory_format):
    x = torch.randn(2, 5, 6, 7).to(memory_format=memory_format)
    mine, theirs = (leaves(x, *weights) for weights in [(torch.randn(4, 5, kernel, kernel), torch.randn(4))] * 2)
    for value, other in zip(mine, theirs, strict=True):
        other.data.copy_(value.data)
    out, expected = convolve(*mine, padding=padding), F.conv2d(*theirs, padding=padding)
    assert type(out.grad_fn).__name__ == "_ConvolutionBackward"
    assert torch.equal(out, expected)
    up = torch.randn_like(out)
    for result, values in ((out, mine), (expected, theirs)):
        result.backward(up)
        assert all(value.grad.shape == value.shape for value in values)
    for value, other in zip(mine, theirs, strict=True):
        assert torch.allclose(value.grad, other.grad, rtol=1e-5, atol=1e-5)


def test_the_weight_gradient_is_exact():
    x, grad = torch.randn(3, 4, 5, 6, dtype=torch.float64), torch.randn(3, 2, 5, 6, dtype=torch.float64)
    weight = torch.zeros(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    F.conv2d(x, weight, padding=1).backward(grad)
    mine = convolution._weight_gradient(x, grad, 3, 1)
    assert torch.allclose(mine, weight.grad, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("case", ["double", "autocast", "frozen", "no_grad", "AVX-512"])
def test_pytorchs_own_is_kept_where_it_is_as_good(case, monkeypatch):
    monkeypatch.setattr(convolution, "OWN_GRADIENT", case != "AVX-512")
    dtype = torch.float64 if case == "double" else torch.float32
    x = torch.randn(1, 3, 4, 4, dtype=dtype, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, dtype=dtype, requires_grad=case != "frozen")
    with torch.autocast("cpu", enabled=case == "autocast"), torch.set_grad_enabled(case != "no_grad"):
        out = convolve(x, weight)
    assert "_Convolution" not in type(out.grad_fn).__name__
    assert out.dtype is (torch.bfloat16 if case == "autocast" else dtype)


def test_the_module_is_pytorchs_by_name_and_result():
    mine, theirs = Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(mine(x), theirs(x))
