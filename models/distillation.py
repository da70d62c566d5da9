"""Distillation: a task adds to its features what its attention to every other task lets through.

PAD-Net (Xu et al., CVPR 2018), and in the same form 3-Ways (Hoyer et al., CVPR 2021).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.network import Exchange
from vendor.mtlpt.attention import SigmoidAttention


class SigmoidDistillation(nn.ModuleDict):
    """The distillation towards one task: source task -> `SigmoidAttention`, each [B,C,h,w] -> [B,C,h,w]."""

    def forward(self, own: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The task's own feature [B,C,h,w] and all tasks' features, alike -> its new feature [B,C,h,w]."""
        for source, attention in self.items():
            own = own + attention(features[source])
        return own


def distillation(*, tasks: Sequence[str], targets: Sequence[str], channels: int) -> Exchange:
    """The distillation towards each of `targets` from all other tasks, whose features have `channels` channels."""
    return Exchange(
        {
            target: SigmoidDistillation(
                {
                    source: SigmoidAttention(in_channels=channels, out_channels=channels)
                    for source in tasks
                    if source != target
                }
            )
            for target in targets
        }
    )
