"""The discriminator of domain adaptation: does a map come from the source or from the target?

Lopes et al., WACV 2023, sec. 4 (unsupervised domain adaptation), after ADVENT (Vu et al., CVPR 2019), whose
discriminator it widens by spectral normalisation (Miyato et al., ICLR 2018) and random flips.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (64, 128, 256, 512, 1)


class Discriminator(nn.Module):
    """Five strided convolutions with spectral normalisation; one logit for every 32x32 patch."""

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in zip((in_channels, *WIDTHS), WIDTHS, strict=False):
            layers.append(spectral_norm(nn.Conv2d(width_in, width_out, kernel_size=4, stride=2, padding=1)))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.net = nn.Sequential(*layers[:-1])  # the last convolution gives the logits

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B,in_channels,H,W] -> logits of "target" [B,1,H/32,W/32]; in training each map is flipped at random.

        The flips are drawn on the maps' device, so that the step never waits for it.
        """
        if self.training:
            flipped = torch.rand(maps.shape[0], 1, 1, 1, device=maps.device) < 0.5  # [B,1,1,1]
            maps = torch.where(flipped, maps.flip(-1), maps)
        return self.net(maps)
