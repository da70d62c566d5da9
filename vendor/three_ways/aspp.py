"""Atrous spatial pyramid pooling, which sees a feature at several reaches at once (Chen et al., 2017, DeepLabv3).

DenseMTL opens each decoder with it, after "Three Ways to Improve Semantic Segmentation with Self-Supervised Depth
Estimation" (Hoyer et al., CVPR 2021); the single-task baseline is DeepLab's own use of it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.layers import ConvNormReLU


class ASPP(nn.Module):
    """A 1x1 convolution, dilated 3x3 convolutions and the pooled image, projected together to one feature.

    Every branch, and the projection of all of them, is followed by batch norm and ReLU.

    Args:
        out_channels: channels of every branch and of the output.
        rates: dilation of each 3x3 branch.
        pooling: whether the mean of the image is a branch too.
        dropout: probability of dropping a value of the output.
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, rates: Sequence[int], pooling: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.pointwise = ConvNormReLU(in_channels=in_channels, out_channels=out_channels)
        self.dilated = nn.ModuleList(
            ConvNormReLU(in_channels=in_channels, out_channels=out_channels, kernel_size=3, dilation=rate)
            for rate in rates
        )
        self.pooled = ConvNormReLU(in_channels=in_channels, out_channels=out_channels) if pooling else None
        n_branches = 1 + len(rates) + int(pooling)
        self.project = ConvNormReLU(in_channels=n_branches * out_channels, out_channels=out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] -> [B,out_channels,h,w]."""
        branches = [self.pointwise(x), *(branch(x) for branch in self.dilated)]  # each [B,out_channels,h,w]
        if self.pooled is not None:
            mean = F.avg_pool2d(x, kernel_size=x.shape[-2:])  # [B,in_channels,1,1]
            branches.append(F.interpolate(self.pooled(mean), size=x.shape[-2:], mode="nearest"))  # [B,out_channels,h,w]
        return self.dropout(self.project(torch.cat(branches, dim=1)))
