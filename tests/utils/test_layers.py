import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.layers import ConvNormReLU, convolve_parts


def test_block_is_convolution_norm_relu_and_keeps_the_size():
    block = ConvNormReLU(in_channels=3, out_channels=5, kernel_size=3, dilation=4).eval()
    block.norm.running_mean.normal_()
    x = torch.randn(2, 3, 9, 11)
    expected = F.conv2d(x, block.conv.weight, padding=4, dilation=4)
    expected = (expected - block.norm.running_mean[:, None, None]) / (1 + block.norm.eps) ** 0.5
    torch.testing.assert_close(block(x), expected.clamp(min=0))
    assert block.conv.bias is None


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd.*got 2"):
        ConvNormReLU(in_channels=1, out_channels=1, kernel_size=2)


@pytest.mark.parametrize("bias", [False, True])
def test_convolution_of_parts_equals_that_of_their_concatenation(bias):
    conv = nn.Conv2d(9, 4, kernel_size=1, bias=bias)
    parts = [torch.randn(2, c, h, w, requires_grad=True) for c, h, w in [(4, 8, 12), (3, 2, 3), (2, 1, 1)]]
    upsampled = [p.repeat_interleave(8 // p.shape[2], 2).repeat_interleave(12 // p.shape[3], 3) for p in parts]
    expected = conv(torch.cat(upsampled, dim=1))
    result = convolve_parts(conv, parts, size=(8, 12))
    torch.testing.assert_close(result, expected)

    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), [*parts, *conv.parameters()])
    got = torch.autograd.grad((result * weight).sum(), [*parts, *conv.parameters()])
    torch.testing.assert_close(got, wanted)


def test_a_single_coarse_part_is_upsampled():
    conv = nn.Conv2d(1, 1, kernel_size=1, bias=False)
    nn.init.constant_(conv.weight, 2.0)
    coarse = torch.tensor([[[[1.0, 2.0]]]])
    assert convolve_parts(conv, [coarse], size=(2, 4)).tolist() == [[[[2, 2, 4, 4], [2, 2, 4, 4]]]]
