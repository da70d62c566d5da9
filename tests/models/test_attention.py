import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.attention import DirectionFeature, ExchangeDesign, SpatialCrossTaskAttention


def randomise(module: nn.Module) -> nn.Module:
    """Weights, statistics and alpha that are not their simple initial values."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.normal_()
            child.running_var.uniform_(0.5, 2)
    return module


def make(channels: int = 6, downscale: int = 2, **design: bool) -> DirectionFeature:
    return DirectionFeature(channels=channels, downscale=downscale, design=ExchangeDesign(**design))


def unit(block, x):
    """1x1 convolution, batch norm, ReLU."""
    norm = block.norm
    x = F.conv2d(x, block.conv.weight)
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=norm.training
    ).relu()  # fmt: skip


def by_hand(direction: DirectionFeature, target, source, s):
    """xTAM as the paper writes it: the softmax over an explicit N x N matrix, concatenation, projection."""
    B, C, h, w = target.shape
    g = F.conv2d(source, direction.extract.weight, direction.extract.bias, padding=1).relu()
    sa, xtam = direction.self_attention, direction.attention
    self_attention = F.conv2d(g, sa.conv.weight, padding=1) * torch.sigmoid(F.conv2d(g, sa.gate.weight, padding=1))

    pooled = g.reshape(B, C, h // s, s, w // s, s).amax(dim=(3, 5))
    q = unit(xtam.query, target[:, :, ::s, ::s]).flatten(2)  # [B,C,N]
    k, v = unit(xtam.key, pooled).flatten(2), unit(xtam.value, pooled).flatten(2)
    weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(C), dim=-1)  # [B,N,N], over the source's positions
    attended = torch.einsum("bnm,bcm->bcn", weights, v).reshape(B, C, h // s, w // s)
    correlation = attended.repeat_interleave(s, dim=2).repeat_interleave(s, dim=3) * xtam.alpha

    return unit(direction.project, torch.cat([self_attention, correlation], dim=1))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("s", [1, 2, 4])
def test_equals_the_softmax_written_out_forward_and_backward(s, training, memory_format):
    direction = randomise(make(downscale=s)).train(training)
    maps = [torch.randn(2, 6, 8, 12).to(memory_format=memory_format).requires_grad_() for _ in range(2)]
    expected = by_hand(direction, *maps, s)
    result = direction(*maps)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)

    weight = torch.randn_like(expected)
    variables = [*maps, *direction.parameters()]
    wanted = torch.autograd.grad((expected * weight).sum(), variables)
    got = torch.autograd.grad((result * weight).sum(), variables)
    for value, reference in zip(got, wanted, strict=True):
        error = (value - reference).abs().max() / reference.abs().max().clamp(min=1)
        assert error < 1e-5


def test_query_is_sampled_and_source_is_pooled():
    seen = {}
    attention = SpatialCrossTaskAttention(channels=1, downscale=4)
    attention.query.register_forward_pre_hook(lambda m, args: seen.update(query=args[0]))
    attention.key.register_forward_pre_hook(lambda m, args: seen.update(key=args[0]))
    x = torch.arange(64.0).reshape(1, 1, 8, 8)
    attention(x, x)
    assert seen["query"].tolist() == [[[[0, 4], [32, 36]]]]
    assert seen["key"].tolist() == [[[[27, 31], [59, 63]]]]


def test_untrained_attention_says_nothing_until_alpha_moves():
    attention = SpatialCrossTaskAttention(channels=4, downscale=1)
    x, y = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    out = attention(x, y)
    assert out.count_nonzero() == 0
    out.sum().backward()
    assert attention.alpha.grad.count_nonzero() == 4
    assert attention.alpha.shape == (1, 4, 1, 1)


def test_branches_can_be_left_out():
    x, y = torch.randn(2, 6, 8, 8), torch.randn(2, 6, 8, 8)
    without_alpha = make(alpha=False)
    assert without_alpha.attention.alpha is None
    assert without_alpha.attention(x, y).abs().max() > 0
    only_self, only_cross = make(attention=False), make(self_attention=False)
    assert torch.equal(only_self.eval()(x, y), only_self(torch.randn_like(x), y))  # the target plays no part
    kinds = {"both": make(), "self": only_self, "cross": only_cross, "full": make(full_self_attention=True)}
    widths = {kind: direction.project.conv.in_channels for kind, direction in kinds.items()}
    assert widths == {"both": 9, "self": 3, "cross": 6, "full": 12}
    assert only_cross(x, y).shape == x.shape


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation gives."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outputs = func(*args, **(kwargs or {}))
        for value in outputs if isinstance(outputs, tuple | list) else [outputs]:
            if isinstance(value, torch.Tensor):
                self.numel = max(self.numel, value.numel())
        return outputs


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_made_that_grows_with_the_square_of_the_positions(memory_format, dtype):
    def largest(height: int) -> int:
        direction = make(channels=8, downscale=1)
        maps = [torch.randn(1, 8, height, 64).to(memory_format=memory_format).requires_grad_() for _ in range(2)]
        with LargestTensor() as record:
            with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                out = direction(*maps)
            out.sum().backward()
        return record.numel

    assert 8 * 64 * 64 <= largest(64) and largest(128) <= 2.2 * largest(64)
