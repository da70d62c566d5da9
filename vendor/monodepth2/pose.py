"""The pose decoder: camera motions from the last feature of stacked frames.

Source: Monodepth2 (Godard et al., ICCV 2019, supplementary material, "Network details").
"""

from torch import Tensor, nn

# Keeps the motions of an untrained network near the identity, where the photometric loss has a gradient.
MOTION_SCALE = 0.01


class PoseDecoder(nn.Module):
    """Four convolutions and a mean over positions; module names are those of the published weights (`net.0`...)."""

    def __init__(self, *, in_channels: int, n_motions: int, channels: int = 256) -> None:
        super().__init__()
        self.n_motions = n_motions
        self.net = nn.ModuleList(
            [
                nn.Conv2d(in_channels, channels, kernel_size=1),
                nn.Conv2d(channels, channels, kernel_size=3, padding=1),
                nn.Conv2d(channels, channels, kernel_size=3, padding=1),
                nn.Conv2d(channels, 6 * n_motions, kernel_size=1),
            ]
        )

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Feature [B,in_channels,h,w] -> (axis-angle in radians, translation), float32 [B,n_motions,3] each."""
        *hidden, predict = self.net
        for conv in hidden:
            feature = conv(feature).relu()
        # In float32 also under autocast: a motion is a small number and everything is warped by it.
        motions = MOTION_SCALE * predict(feature).float().mean(dim=(2, 3))
        motions = motions.unflatten(1, (self.n_motions, 6))  # [B,n_motions,6]
        return motions[..., :3], motions[..., 3:]
