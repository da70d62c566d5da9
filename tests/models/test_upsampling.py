import pytest
import torch
import torch.nn.functional as F

from models.upsampling import convolve_doubled, pad_by_one


@pytest.mark.parametrize("size", [(4, 6), (2, 2), (1, 3), (1, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("with_bias", [True, False])
def test_equals_upsampling_padding_and_convolution_forward_and_backward(size, memory_format, with_bias):
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True) if with_bias else None
    padded = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(padded, weight, bias)
    result = convolve_doubled(x, weight, bias)
    assert result.shape == (2, 5, 2 * size[0], 2 * size[1])
    torch.testing.assert_close(result, expected)

    variables = [x, weight, bias] if with_bias else [x, weight]
    factor = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * factor).sum(), variables)
    got = torch.autograd.grad((result * factor).sum(), variables)
    torch.testing.assert_close(got, wanted)


def test_output_and_gradient_are_channels_last_when_the_input_is():
    x = torch.randn(2, 3, 4, 6).to(memory_format=torch.channels_last).requires_grad_()
    result = convolve_doubled(x, torch.randn(5, 3, 3, 3).to(memory_format=torch.channels_last))
    (gradient,) = torch.autograd.grad(result.square().sum(), x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_kernels_are_summed_in_float32_under_autocast():
    x, weight = torch.ones(1, 1, 2, 2), torch.full((1, 1, 3, 3), 1 + 2**-7)
    with torch.autocast("cpu", torch.bfloat16):
        result = convolve_doubled(x, weight)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), torch.full((1, 1, 4, 4), 9 * (1 + 2**-7)), rtol=2**-8, atol=0)


@pytest.mark.parametrize(
    "mode, size", [("reflect", (2, 3)), ("reflect", (5, 4)), ("replicate", (1, 2)), ("replicate", (4, 5))]
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_padding_is_pytorchs_forward_and_backward(mode, size, memory_format):
    x = torch.randn(2, 3, *size).to(memory_format=memory_format).requires_grad_()
    expected, result = F.pad(x, (1, 1, 1, 1), mode=mode), pad_by_one(x, mode=mode)
    assert torch.equal(result, expected)
    assert result.is_contiguous(memory_format=memory_format)
    factor = torch.randn_like(expected)
    (wanted,), (got,) = (torch.autograd.grad((out * factor).sum(), x) for out in (expected, result))
    torch.testing.assert_close(got, wanted)
    assert got.is_contiguous(memory_format=memory_format)


def test_padding_keeps_type_under_autocast_and_nothing_for_the_gradient():
    kept = []
    x = torch.randn(1, 2, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        assert pad_by_one(x, mode="reflect").dtype == torch.bfloat16
    assert kept == []
