"""DeepLab's head (Chen et al., 2017, DeepLabv3), the head of the baselines.

Source: Multi-Task-Learning-PyTorch (Simon Vandenhende).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.network import Head
from utils.layers import ConvNormReLU
from vendor.three_ways.aspp import ASPP

RATES = (12, 24, 36)
CHANNELS = 256


class DeepLabHead(Head):
    """ASPP, a 3x3 and a 1x1 convolution, bilinear upsampling to the image's size; scale 0 only.

    Args:
        upsampling: stride of the encoder's last feature.
    """

    active_scales = (0,)

    def __init__(self, *, in_channels: int, num_out_ch: int, upsampling: int) -> None:
        super().__init__()
        self.aspp = ASPP(in_channels=in_channels, out_channels=CHANNELS, rates=RATES)
        self.refine = ConvNormReLU(in_channels=CHANNELS, out_channels=CHANNELS, kernel_size=3)
        self.predict = nn.Conv2d(CHANNELS, num_out_ch, kernel_size=1)
        self.upsampling = upsampling

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return [self.predict]

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """The encoder's features, the last one [B,in_channels,h,w] -> {0: [B,num_out_ch,h*upsampling,w*upsampling]}."""
        coarse = self.predict(self.refine(self.aspp(features[-1])))  # [B,num_out_ch,h,w]
        return {0: F.interpolate(coarse, scale_factor=self.upsampling, mode="bilinear", align_corners=False)}
