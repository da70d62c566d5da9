"""Small network pieces that `models` and `vendor` share."""

from collections import OrderedDict

from torch import nn


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
