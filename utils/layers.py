"""Small network parts that `models` and `vendor` share."""

from collections import OrderedDict

from torch import nn


class ConvNormReLU(nn.Sequential):
    """Convolution without bias that keeps the spatial size, batch norm, ReLU: children `conv`, `norm`, `act`.

    `kernel_size` is the odd side of the kernel, `dilation` the step between its taps; the padding is zeros.
    """

    def __init__(self, *, in_channels: int, out_channels: int, kernel_size: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
        super().__init__(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels), act=nn.ReLU(inplace=True)))
