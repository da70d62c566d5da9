"""Nearest upsampling by 2 and the 3x3 convolution after it, in one step on the small map; padding.

The decoders of DenseMTL upsample by nearest before the second block of a level (Lopes et al., WACV 2023, sec. 4.1). Of
the nine taps of a 3x3 convolution there, several fall on copies of one pixel: each of the four output positions that
come from one input pixel is a convolution with 2x2 taps, some of them sums, which takes 2.25 times fewer
multiplications. Reflection padding of the upsampled map becomes replication padding of the small one.

Padding and interleaving are written out as copies, because PyTorch's own (`F.pad`, `F.pixel_shuffle`) leave
channels_last on a GPU, go to float32 under the CPU's autocast, and keep their inputs for a gradient that needs none.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.convolution import convolve


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`conv3x3(reflection_pad(nearest_upsample(x, 2), 1))`, equal up to rounding.

    Args:
        x: [B,C,h,w].
        weight: [C_out,C,3,3].
        bias: [C_out].

    Returns:
        [B,C_out,2h,2w].
    """
    padded = pad_by_one(x, mode="replicate")  # [B,C,h+2,w+2]
    kernels = [kernel for rows in _phases(weight, dim=2) for kernel in _phases(rows, dim=3)]  # four of [C_out,C,2,2]
    bias = None if bias is None else bias.repeat(4)
    windows = convolve(padded, torch.cat(kernels), bias)  # [B,4*C_out,h+1,w+1]
    return _Interleave.apply(windows)


def pad_by_one(x: Tensor, *, mode: Literal["reflect", "replicate"]) -> Tensor:
    """Pad [B,C,h,w] by one pixel a side, as `F.pad` with this mode: [B,C,h+2,w+2], in the memory format of x."""
    return _PadByOne.apply(x, 1 if mode == "reflect" else 0)


def _phases(weight: Tensor, *, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps along one axis -> two for even output positions, on the pixel before and the own, two for odd ones."""
    first, middle, last = weight.split(1, dim=dim)
    return torch.cat([first, middle + last], dim=dim), torch.cat([first + middle, last], dim=dim)


class _PadByOne(torch.autograd.Function):
    """Padding whose border repeats the row or column that stands `inset` pixels inside the map's own border."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, inset: int) -> Tensor:
        ctx.inset = inset
        batch, channels, height, width = x.shape
        out = _empty_like(x, (batch, channels, height + 2, width + 2))
        out[:, :, 1:-1, 1:-1] = x
        out[:, :, 1:-1, 0] = x[:, :, :, inset]
        out[:, :, 1:-1, -1] = x[:, :, :, -1 - inset]
        out[:, :, 0] = out[:, :, 1 + inset]
        out[:, :, -1] = out[:, :, -2 - inset]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # The border's gradient goes to where its values came from: rows first, for the corners go both ways.
        low, high = ctx.inset, -1 - ctx.inset
        batch, channels, height, width = grad.shape
        inner = _empty_like(grad, (batch, channels, height - 2, width - 2))
        inner.copy_(grad[:, :, 1:-1, 1:-1])
        left, right = grad[:, :, 1:-1, 0].clone(), grad[:, :, 1:-1, -1].clone()  # [B,C,h]
        for folded, columns in ((left, 0), (inner, slice(1, -1)), (right, -1)):
            folded[:, :, low].add_(grad[:, :, 0, columns])  # `+=` would copy the sum onto itself afterwards
            folded[:, :, high].add_(grad[:, :, -1, columns])
        inner[:, :, :, low].add_(left)
        inner[:, :, :, high].add_(right)
        return inner, None


class _Interleave(torch.autograd.Function):
    """Windows [B,4*C,h+1,w+1] -> [B,C,2h,2w]: block 2a+b of the channels has the output's rows a::2, columns b::2.

    Window i stands on pixels i-1 and i, and serves the even position 2i and the odd position 2i-1.
    """

    @staticmethod
    def forward(ctx: Any, windows: Tensor) -> Tensor:
        batch, channels, height, width = windows.shape
        out = _empty_like(windows, (batch, channels // 4, 2 * height - 2, 2 * width - 2))
        for k, block in enumerate(windows.chunk(4, dim=1)):
            a, b = divmod(k, 2)
            out[:, :, a::2, b::2] = block[:, :, a : a + height - 1, b : b + width - 1]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        batch, channels, height, width = grad.shape
        height, width = height // 2 + 1, width // 2 + 1
        windows = _empty_like(grad, (batch, 4 * channels, height, width))
        for k, block in enumerate(windows.chunk(4, dim=1)):
            a, b = divmod(k, 2)
            block[:, :, a : a + height - 1, b : b + width - 1] = grad[:, :, a::2, b::2]
            block[:, :, a - 1] = 0  # the last row serves no even position, the first no odd one
            block[:, :, :, b - 1] = 0
        return windows


def _empty_like(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Uninitialised, of another size but otherwise like x, its memory format included."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if last else torch.contiguous_format
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format)
