"""Sigmoid attention: the distillation of PAD-Net (Xu et al., CVPR 2018), where one task guides another.

DenseMTL uses it as the self-attention branch of its exchange (Lopes et al., WACV 2023, sec. 3).
Source: Multi-Task-Learning-PyTorch (Simon Vandenhende).
"""

from torch import Tensor, nn

from utils.convolution import Conv2d


class SigmoidAttention(nn.Module):
    """conv(x) * sigmoid(gate(x)): a feature, and a gate that lets it through position by position."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.gate = Conv2d(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,H,W] -> [B,out_channels,H,W]."""
        return self.conv(x) * self.gate(x).sigmoid()
