import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vendor.three_ways.aspp import ASPP


def make(**options) -> ASPP:
    aspp = ASPP(in_channels=6, out_channels=4, rates=(1, 2, 3), **options)
    for module in aspp.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return aspp


def unit(block, x, dilation=1):
    """Convolution, batch norm in evaluation mode and ReLU, spelled out."""
    norm = block.norm
    x = F.conv2d(x, block.conv.weight, padding=dilation * (block.conv.kernel_size[0] // 2), dilation=dilation)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()


@pytest.mark.parametrize("pooling", [True, False])
def test_equals_the_textbook_form(pooling):
    aspp = make(pooling=pooling).eval()
    x = torch.randn(2, 6, 7, 9)
    branches = [unit(aspp.pointwise, x)]
    branches += [unit(branch, x, rate) for branch, rate in zip(aspp.dilated, (1, 2, 3), strict=True)]
    if pooling:
        pooled = unit(aspp.pooled, x.mean(dim=(2, 3), keepdim=True))
        branches.append(F.interpolate(pooled, size=(7, 9), mode="bilinear", align_corners=False))
    expected = unit(aspp.project, torch.cat(branches, dim=1))
    torch.testing.assert_close(aspp(x), expected)


def test_dropout_only_in_training():
    aspp = make(dropout=0.999)
    x = torch.randn(4, 6, 5, 5)
    assert (aspp(x) == 0).float().mean() > 0.9
    aspp.eval()
    assert torch.equal(aspp(x), aspp(x))
    assert (aspp(x) == 0).float().mean() < 0.9


def test_gradient_keeps_the_memory_format():
    x = torch.randn(2, 6, 5, 7).to(memory_format=torch.channels_last).requires_grad_()
    seen = []
    y = x * 1
    y.register_hook(lambda grad: seen.append(grad.is_contiguous(memory_format=torch.channels_last)))
    out = make().to(memory_format=torch.channels_last)(y)
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.sum().backward()
    assert seen == [True]
