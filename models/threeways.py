"""3-Ways' multi-task network (`padnet+`, `3ways` in configs): PAD-Net's distillation inside skip decoders.

"Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021), a
baseline of Lopes et al., WACV 2023, sec. 4.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.decoder import Decoder, check_sections, common_width
from models.distillation import SigmoidDistillation
from models.network import MultiTaskNetwork, Predictions


class ThreeWays(MultiTaskNetwork):
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
        check_sections(heads, sections)
        if len(sections) != 2 or len(heads) < 2:
            raise ValueError(f"needs two sections and two tasks or more, got {len(sections)} and {list(heads)}")
        channels = common_width(heads, sections[0][-1])
        distillation = SigmoidDistillation(tasks=tuple(heads), targets=tuple(heads), channels=channels)
        super().__init__(backbone=backbone, heads=heads, exchanges={"0": distillation})
        self.sections = tuple(tuple(section) for section in sections)

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """The decoders reach the image's size by themselves; scale s has 1/2^s of it."""
        first, second = self.sections
        predictions = {}

        # Task decoders, first section
        x = {}
        for task, head in self.heads.items():
            x[task], predictions[task] = head.run(features[-1], features, first)  # [B,C,h,w]

        # Distillation
        x = self.exchanges["0"](x)

        # Task decoders, second section
        for task, head in self.heads.items():
            predictions[task].update(head.run(x[task], features, second)[1])
        return predictions
