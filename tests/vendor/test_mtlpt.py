import math

import pytest
import torch
from torch import nn

from vendor.mtlpt.attention import SigmoidAttention
from vendor.mtlpt.padnet import two_bottlenecks


def test_sigmoid_attention_on_one_pixel_by_hand():
    attention = SigmoidAttention(in_channels=1, out_channels=1)
    with torch.no_grad():
        attention.conv.weight.zero_()[0, 0, 1, 1] = 3.0
        attention.gate.weight.zero_()[0, 0, 1, 1] = 0.5
        out = attention(torch.full((1, 1, 1, 1), 2.0))
    assert out.item() == pytest.approx(6 / (1 + math.exp(-1)))


def test_sigmoid_attention_pads_with_zeros_and_has_no_bias():
    attention = SigmoidAttention(in_channels=1, out_channels=1)
    with torch.no_grad():
        attention.conv.weight.fill_(1.0)
        attention.gate.weight.zero_()  # sigmoid(0) = 1/2 everywhere
        out = attention(torch.ones(1, 1, 3, 3))
    expected = torch.tensor([[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]) / 2
    torch.testing.assert_close(out[0, 0], expected)
    assert sorted(attention.state_dict()) == ["conv.weight", "gate.weight"]


def test_sigmoid_attention_shapes():
    out = SigmoidAttention(in_channels=6, out_channels=3)(torch.randn(2, 6, 5, 7))
    assert out.shape == (2, 3, 5, 7)


def test_two_bottlenecks_against_the_formula():
    blocks = two_bottlenecks(in_channels=6, channels=8).train()
    x = torch.randn(3, 6, 4, 5)
    out = blocks(x)

    first, second = blocks
    y = (first.bn1(first.conv1(x))).relu()
    y = (first.bn2(first.conv2(y))).relu()
    projection, norm = first.downsample
    x = (first.bn3(first.conv3(y)) + norm(projection(x))).relu()
    y = (second.bn1(second.conv1(x))).relu()
    y = (second.bn2(second.conv2(y))).relu()
    torch.testing.assert_close(out, (second.bn3(second.conv3(y)) + x).relu())


def test_two_bottlenecks_parameter_count():
    # 2048 -> 256: (2048*64 + 64*64*9 + 64*256) + norms 2*(64+64+256) + projection 2048*256 + 2*256, then 256 -> 256.
    first = 2048 * 64 + 64 * 64 * 9 + 64 * 256 + 2 * (64 + 64 + 256) + 2048 * 256 + 2 * 256
    second = 256 * 64 + 64 * 64 * 9 + 64 * 256 + 2 * (64 + 64 + 256)
    blocks = two_bottlenecks(in_channels=2048, channels=256)
    assert sum(p.numel() for p in blocks.parameters()) == first + second


def test_no_projection_where_the_channels_agree():
    assert not any(isinstance(m, nn.Sequential) for m in two_bottlenecks(in_channels=8, channels=8)[0].modules())
