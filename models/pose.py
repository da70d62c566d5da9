"""The pose network: how the camera moved between neighbouring frames of a video.

Source: Monodepth2 (Godard et al., ICCV 2019, sec. 4.1 and supplementary material), as DenseMTL's semi-supervised depth
uses it (Lopes et al., WACV 2023, sec. 4).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from vendor.monodepth2.pose import PoseDecoder


class PoseNet(nn.Module):
    """ResNet-18 on `n_frames` frames stacked along the channels, and a decoder of `n_motions` camera motions."""

    def __init__(self, *, n_frames: int, n_motions: int) -> None:
        super().__init__()
        self.encoder = Encoder(name="resnet18", n_images=n_frames)
        self.decoder = PoseDecoder(in_channels=self.encoder.channels[-1], n_motions=n_motions)

    def forward(self, frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`n_frames` frames [B,3,H,W] in [0,1], in the order of time -> (axis-angle, translation) [B,n_motions,3]."""
        stack = torch.cat(list(frames), dim=1)  # [B,3*n_frames,H,W]
        return self.decoder(self.encoder(stack)[-1])

    def freeze(self) -> None:
        """Stop learning for good: no gradients, and batch norm keeps its statistics in training too."""
        self.requires_grad_(False)
        self.encoder.freeze()
