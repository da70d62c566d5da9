"""Convolutions with a weight gradient of our own against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils import convolution
from utils.convolution import Conv2d, convolve

FORMATS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}


@pytest.fixture(autouse=True)
def _own_gradient(monkeypatch):
    monkeypatch.setattr(convolution, "OWN_GRADIENT", True)


def is_own(out: torch.Tensor) -> bool:
    """Whether the weight gradient will be ours."""
    return "_Convolution" in type(out.grad_fn).__name__


@pytest.mark.parametrize("input_learns", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_equals_pytorchs(kernel, padding, memory_format, bias, input_learns):
    mine = Conv2d(5, 4, kernel, padding=padding, bias=bias)
    theirs = nn.Conv2d(5, 4, kernel, padding=padding, bias=bias)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    image = torch.randn(2, 5, 6, 7).to(memory_format=memory_format)
    x, other_x = (image.clone(memory_format=torch.preserve_format).requires_grad_(input_learns) for _ in range(2))
    out, expected = mine(x), theirs(other_x)
    assert is_own(out) and torch.equal(out, expected)
    up = torch.randn_like(out)
    out.backward(up)
    expected.backward(up)
    pairs = list(zip(mine.parameters(), theirs.parameters(), strict=True)) + ([(x, other_x)] if input_learns else [])
    for value, other in pairs:
        torch.testing.assert_close(value.grad, other.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["double", "autocast", "frozen", "no_grad", "AVX-512"])
def test_pytorchs_own_is_kept_where_it_is_as_good(case, monkeypatch):
    monkeypatch.setattr(convolution, "OWN_GRADIENT", case != "AVX-512")
    dtype = torch.float64 if case == "double" else torch.float32
    x = torch.randn(1, 3, 4, 4, dtype=dtype, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, dtype=dtype, requires_grad=case != "frozen")
    with torch.autocast("cpu", enabled=case == "autocast"), torch.set_grad_enabled(case != "no_grad"):
        out = convolve(x, weight)
    assert not is_own(out)
    torch.testing.assert_close(out, F.conv2d(x, weight).to(out.dtype), rtol=0.1, atol=0.1)
    assert out.dtype is (torch.bfloat16 if case == "autocast" else dtype)
