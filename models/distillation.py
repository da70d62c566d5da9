"""Distillation: each task adds to its features what its attention to every other task lets through.

PAD-Net (Xu et al., CVPR 2018), and in the same form 3-Ways (Hoyer et al., CVPR 2021).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from vendor.mtlpt.attention import SigmoidAttention


class SigmoidDistillation(nn.ModuleDict):
    """Target task -> source task -> `SigmoidAttention`.

    Args:
        tasks: all of them, in their declared order.
        targets: those that are guided.
        channels: C, of every task's feature.
    """

    def __init__(self, *, tasks: Sequence[str], targets: Sequence[str], channels: int) -> None:
        super().__init__()
        for target in targets:
            sources = [task for task in tasks if task != target]
            attentions = {task: SigmoidAttention(in_channels=channels, out_channels=channels) for task in sources}
            self[target] = nn.ModuleDict(attentions)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: [B,C,h,w]} -> {target: [B,C,h,w]}, all from the features as they came."""
        distilled = {}
        for target, attentions in self.items():
            distilled[target] = features[target]
            for source, attention in attentions.items():
                distilled[target] = distilled[target] + attention(features[source])  # [B,C,h,w]
        return distilled
