"""mTEB, the multi-task exchange block: every task receives messages from the others.

Lopes et al., WACV 2023, sec. 3.3 and the ablations of sec. 4.3.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.attention import DirectionFeature, ExchangeDesign
from models.network import Exchange
from utils.layers import ConvNormReLU


class TaskExchange(nn.Module):
    """The exchange towards one target task.

    Args:
        sources: the other tasks, in the order in which their direction features are concatenated.
        channels, downscale: C and s of `models/attention.py`.
    """

    def __init__(self, *, sources: Sequence[str], channels: int, downscale: int, design: ExchangeDesign) -> None:
        super().__init__()
        self.combine = design.combine
        self.directions = nn.ModuleDict(
            {source: DirectionFeature(channels=channels, downscale=downscale, design=design) for source in sources}
        )
        n_parts = len(sources) + (1 if design.combine == "concat" else 0)
        self.fuse = ConvNormReLU(in_channels=n_parts * channels, out_channels=channels)

    def forward(self, own: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The target's own feature [B,C,h,w] and all tasks' features, alike -> the target's new feature [B,C,h,w]."""
        messages = [direction(own, features[source]) for source, direction in self.directions.items()]  # [B,C,h,w] each
        if self.combine == "concat":
            messages = [own, *messages]
        fused = self.fuse(torch.cat(messages, dim=1))  # [B,C,h,w]
        if self.combine == "add":
            return own + fused
        if self.combine == "prod":
            return own * fused
        return fused


def exchange_block(
    *,
    tasks: Sequence[str],
    channels: int,
    downscale: int,
    design: ExchangeDesign,
    source_order: Mapping[str, Sequence[str]] | None = None,
) -> Exchange:
    """The exchange between all tasks at one decoder level: a `TaskExchange` for each of them.

    Args:
        tasks: in their declared order, which is the order of sources too.
        channels, downscale: C and s of `models/attention.py` at this level.
        source_order: the order of sources for targets that need another than the declared one.
    """
    orders = {target: [task for task in tasks if task != target] for target in tasks} | dict(source_order or {})
    return Exchange(
        {
            target: TaskExchange(sources=sources, channels=channels, downscale=downscale, design=design)
            for target, sources in orders.items()
        }
    )
