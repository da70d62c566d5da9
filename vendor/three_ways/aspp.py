"""Atrous spatial pyramid pooling, which sees a feature at several reaches at once (Chen et al., 2017, DeepLabv3).

DenseMTL opens each decoder with it, after "Three Ways to Improve Semantic Segmentation with Self-Supervised Depth
Estimation" (Hoyer et al., CVPR 2021); the single-task baseline is DeepLab's own use of it.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from utils.errors import UserError
from utils.layers import ConvNormReLU, convolve_parts


class ASPP(nn.Module):
    """A 1x1 convolution, dilated 3x3 convolutions and the pooled image, projected together to one feature.

    Every branch, and the projection of all of them, is followed by batch norm and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of every branch and of the output.
        rates: dilation of each 3x3 branch.
        pooling: whether the mean of the image is a branch too.
        dropout: probability of dropping a value of the output.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        rates: Sequence[int],
        pooling: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not rates or min(rates) < 1:
            raise ValueError(f"ASPP rates must be positive dilations, at least one, got {list(rates)}")
        self.out_channels = out_channels
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
        """[B,in_channels,h,w] -> [B,out_channels,h,w].

        Raises:
            UserError: a training batch of one image, whose pooled branch would batch-normalise a single value.
        """
        branches = [self.pointwise(x), *(branch(x) for branch in self.dilated)]  # each [B,out_channels,h,w]
        if self.pooled is not None:
            self._require_statistics(x.shape[0])
            # Not mean(), whose gradient would come back in another memory format than x's.
            mean = F.avg_pool2d(x, kernel_size=x.shape[-2:])  # [B,in_channels,1,1]
            branches.append(self.pooled(mean))  # [B,out_channels,1,1]
        projected = convolve_parts(self.project.conv, branches, size=x.shape[-2:])  # [B,out_channels,h,w]
        return self.dropout(self.project.act(self.project.norm(projected)))

    def _require_statistics(self, batch: int) -> None:
        norm = self.pooled.norm
        # Synchronised batch norm is another class: it has the images of all processes.
        if batch == 1 and norm.training and isinstance(norm, nn.BatchNorm2d):
            raise UserError(
                "a training batch of one image: the pooled branch of the ASPP would batch-normalise one value per "
                "channel, which leaves nothing of it. Set data.train_bs to 2 or more, or, in a padnet+ head, "
                "setup.model.tasks.<task>.kwargs.aspp_pooling to False"
            )
