"""3x3 convolutions (of any small kernel) with a faster weight gradient on CPUs that have AVX2 but not AVX-512.

There oneDNN has no good kernel for the weight gradient of a channels_last convolution, the slower the larger the map.
Written as one matrix product per tap over the whole map, it makes a training step a fifth faster and more; with AVX-512
it would cost 12 to 16 % (docs/performance.md). GPUs and other number formats keep PyTorch's own too.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

OWN_GRADIENT = torch.backends.cpu.get_cpu_capability() == "AVX2"


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` of stride 1 without dilation or groups, by `convolve`; weights and names are the same."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=bias)
        self.zeros = padding

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] -> [B,out_channels,h+2*padding-kernel_size+1,w+2*padding-kernel_size+1]."""
        return convolve(x, self.weight, self.bias, padding=self.zeros)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0) -> Tensor:
    """`F.conv2d` of stride 1, equal up to rounding in the gradients of weight and bias, in everything else to the bit.

    x [B,C,h,w], weight [C_out,C,k,k], bias [C_out] -> [B,C_out,h+2*padding-k+1,w+2*padding-k+1], padded with zeros.
    """
    learns = weight.requires_grad and torch.is_grad_enabled()
    in_float32 = x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    if OWN_GRADIENT and learns and in_float32 and x.device.type == "cpu":
        return _Convolution.apply(x, weight, bias, padding)
    return F.conv2d(x, weight, bias, padding=padding)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        wants_x, _, wants_bias, _ = ctx.needs_input_grad
        of_x = None
        if wants_x:
            pad = [ctx.padding] * 2
            of_x, _, _ = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [1, 1], pad, [1, 1], False, [0, 0], 1, [True, False, False]
            )
        of_bias = grad.sum((0, 2, 3)) if wants_bias else None
        return of_x, _weight_gradient(x, grad, weight.shape[-1], ctx.padding), of_bias, None


def _weight_gradient(x: Tensor, grad: Tensor, k: int, padding: int) -> Tensor:
    """[C_out,C,k,k]: for each tap the product of the output's gradient and the tap's input.

    Both maps are laid out on the grid of the padded input, the gradient with zeros where there is no output. The inputs
    of a tap at all positions are then the whole map from an offset on, in one piece.
    """
    padded = F.pad(x, [padding] * 4) if padding else x  # [B,C,h,w], h and w of the padded input
    height, width = padded.shape[-2:]
    on_grid = F.pad(grad, (0, width - grad.shape[-1], 0, height - grad.shape[-2]))  # [B,C_out,h,w]
    inputs, on_grid = _pixels(padded), _pixels(on_grid).t()  # [N,C] and [C_out,N]
    taps = grad.new_empty(k * k, len(on_grid), inputs.shape[1])
    for tap, product in enumerate(taps):
        offset = tap // k * width + tap % k
        torch.mm(on_grid[:, : len(inputs) - offset], inputs[offset:], out=product)
    return taps.permute(1, 2, 0).unflatten(2, (k, k))  # [k*k,C_out,C] -> [C_out,C,k*k] -> [C_out,C,k,k]


def _pixels(x: Tensor) -> Tensor:
    """[B,C,h,w] -> [N,C], N = B*h*w; a view when x is channels_last."""
    return x.flatten(2).transpose(1, 2).reshape(-1, x.shape[1])  # [B,C,h*w] -> [B,h*w,C] -> [N,C]
