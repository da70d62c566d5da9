import pytest
import torch
import torch.nn.functional as F

from models.upsampling import convolve_doubled


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
