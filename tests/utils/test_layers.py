import torch
import torch.nn.functional as F

from utils.layers import ConvNormReLU


def test_block_is_convolution_norm_relu_and_keeps_the_size():
    block = ConvNormReLU(in_channels=3, out_channels=5, kernel_size=3, dilation=4).eval()
    block.norm.running_mean.normal_()
    x = torch.randn(2, 3, 9, 11)
    expected = F.conv2d(x, block.conv.weight, padding=4, dilation=4)
    expected = (expected - block.norm.running_mean[:, None, None]) / (1 + block.norm.eps) ** 0.5
    torch.testing.assert_close(block(x), expected.clamp(min=0))
    assert block.conv.bias is None
