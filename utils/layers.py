"""Small network pieces that `models` and `vendor` share."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormReLU(nn.Sequential):
    """Convolution without bias that keeps the spatial size, batch norm, ReLU: children `conv`, `norm`, `act`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel; the input is padded with zeros.
        dilation: step between the kernel's taps.
    """

    def __init__(self, *, in_channels: int, out_channels: int, kernel_size: int = 1, dilation: int = 1) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that the output keeps the size, got {kernel_size}")
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            bias=False,
        )
        norm = nn.BatchNorm2d(out_channels)
        super().__init__(OrderedDict(conv=conv, norm=norm, act=nn.ReLU(inplace=True)))


def convolve_parts(conv: nn.Conv2d, parts: Sequence[Tensor], *, size: Sequence[int]) -> Tensor:
    """`conv(concatenation of parts, each upsampled to size)` for a 1x1 convolution, at a fraction of its cost.

    A 1x1 convolution of a concatenation is a sum of 1x1 convolutions, and it commutes with nearest upsampling: neither
    the concatenation nor the upsampled inputs are ever made, and a coarse part is convolved on its own coarse grid.

    Args:
        conv: 1x1 convolution, its input channels those of all parts together.
        parts: maps [B,C_k,h_k,w_k], coarse ones to be upsampled by nearest.
        size: (h, w) of the result.

    Returns:
        [B,C_out,h,w].
    """
    weights = conv.weight.split([part.shape[1] for part in parts], dim=1)  # [C_out,C_k,1,1] each
    total = None
    for part, weight in zip(parts, weights, strict=True):
        share = F.conv2d(part, weight, conv.bias if total is None else None)  # [B,C_out,h_k,w_k]
        if share.shape[-2:] != torch.Size(size):
            share = F.interpolate(share, size=tuple(size), mode="nearest")  # [B,C_out,h,w]
        # In place: a convolution does not need its output for its gradient.
        total = share if total is None else total.add_(share)
    return total
