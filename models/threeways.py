"""3-Ways' multi-task network (`padnet+`, `3ways` in configs): PAD-Net's distillation inside skip decoders.

"Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021), a
baseline of Lopes et al., WACV 2023, sec. 4.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.decoder import Decoder
from models.densemtl import check_sections
from vendor.mtlpt.attention import SigmoidAttention


class ThreeWays(nn.Module):
    """The decoders run in two sections; between them each task adds what its attention to every other task gives.

    Args:
        backbone: the encoder, giving a list of five features.
        heads: decoder of each task, in the order of the tasks.
        sections: decoder levels before and after the exchange, [[4,3,2],[1,0]] in the paper.

    Raises:
        ValueError: fewer than two tasks, sections that are not two or not the decoders' levels, or decoders of
            different width where they exchange.
    """

    def __init__(self, *, backbone: nn.Module, heads: Mapping[str, Decoder], sections: Sequence[Sequence[int]]) -> None:
        super().__init__()
        check_sections(heads, sections)
        if len(sections) != 2 or len(heads) < 2:
            raise ValueError(f"needs two sections and two tasks or more, got {len(sections)} and {list(heads)}")
        channels = common_width(heads, sections[0][-1])
        self.tasks = tuple(heads)
        self.scales = {task: head.active_scales for task, head in heads.items()}
        self.sections = tuple(tuple(section) for section in sections)
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        # exchanges.<stage>.<target>.<source>, as in the networks that exchange at several stages
        distillation = {
            target: nn.ModuleDict(
                {
                    source: SigmoidAttention(in_channels=channels, out_channels=channels)
                    for source in self.tasks
                    if source != target
                }
            )
            for target in self.tasks
        }
        self.exchanges = nn.ModuleList([nn.ModuleDict(distillation)])

    def forward(self, image: Tensor) -> dict[str, dict[int, Tensor]]:
        """Image [B,3,H,W] in [0,1] -> {task: {scale: [B,C_task,H/2^scale,W/2^scale]}}."""
        return self.decode(self.backbone(image), image.shape[-2:])

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> dict[str, dict[int, Tensor]]:
        """Predictions from the encoder's five features; the decoders reach the image's `size` (H, W) by themselves."""
        first, second = self.sections
        predictions: dict[str, dict[int, Tensor]] = {}

        # Task decoders, first section
        x = {}
        for task, head in self.heads.items():
            x[task], predictions[task] = head.run(features[-1], features, first)  # [B,C,h,w]

        # Distillation
        distilled = dict(x)
        for target, attentions in self.exchanges[0].items():
            for source, attention in attentions.items():
                distilled[target] = distilled[target] + attention(x[source])  # [B,C,h,w]

        # Task decoders, second section
        for task, head in self.heads.items():
            predictions[task].update(head.run(distilled[task], features, second)[1])
        return predictions


def common_width(heads: Mapping[str, Decoder], level: int) -> int:
    """Channels of all decoders at the level where they exchange features.

    Raises:
        ValueError: they differ.
    """
    widths = {task: head.num_ch_dec[level] for task, head in heads.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"num_ch_dec[{level}] must be the same for all tasks that exchange features, got {widths}")
    return next(iter(widths.values()))
