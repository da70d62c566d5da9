import pytest
import torch
import torch.nn.functional as F

from vendor.mtlpt.attention import SigmoidAttention
from vendor.mtlpt.padnet import two_bottlenecks


def test_sigmoid_attention_is_a_gated_convolution_padded_with_zeros_and_without_bias():
    attention, x = SigmoidAttention(in_channels=6, out_channels=3), torch.randn(2, 6, 5, 7)
    content, gate = (F.conv2d(x, conv.weight, padding=1) for conv in (attention.conv, attention.gate))
    torch.testing.assert_close(attention(x), content / (1 + (-gate).exp()))
    assert sorted(attention.state_dict()) == ["conv.weight", "gate.weight"]


@pytest.mark.parametrize("in_channels", [6, 8])
def test_two_bottlenecks_against_the_formula(in_channels: int):
    """With a projection only where the channels do not agree."""
    blocks = two_bottlenecks(in_channels=in_channels, channels=8).train()
    x = torch.randn(3, in_channels, 4, 5)
    out = blocks(x)
    first, second = blocks
    for block in (first, second):
        y = (block.bn1(block.conv1(x))).relu()
        y = (block.bn2(block.conv2(y))).relu()
        projects = block is first and in_channels != 8
        assert (block.downsample is not None) == projects
        x = (block.bn3(block.conv3(y)) + (block.downsample(x) if projects else x)).relu()
    torch.testing.assert_close(out, x)


def test_two_bottlenecks_parameter_count():
    # 2048 -> 256: (2048*64 + 64*64*9 + 64*256) + norms 2*(64+64+256) + projection 2048*256 + 2*256, then 256 -> 256.
    first = 2048 * 64 + 64 * 64 * 9 + 64 * 256 + 2 * (64 + 64 + 256) + 2048 * 256 + 2 * 256
    second = 256 * 64 + 64 * 64 * 9 + 64 * 256 + 2 * (64 + 64 + 256)
    blocks = two_bottlenecks(in_channels=2048, channels=256)
    assert sum(p.numel() for p in blocks.parameters()) == first + second
