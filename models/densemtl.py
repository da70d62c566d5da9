"""DenseMTL: one encoder, one decoder per task, cross-task exchanges between the decoders.

Lopes et al., WACV 2023, "Cross-task Attention Mechanism for Dense Multi-task Learning", sec. 3.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from models.decoder import Decoder
from models.encoder import Encoder
from models.network import Exchange, MultiTaskNetwork, Predictions


class DenseMTL(MultiTaskNetwork[Decoder]):
    """The decoders run in sections; between two of them, at the level reached, the tasks exchange features.

    Args:
        backbone: the encoder.
        heads: decoder of each task, in the order of the tasks.
        sections: decoder levels, from the coarsest to 0, cut where features are exchanged, e.g. [[4,3,2,1],[0]].
        exchanges: level -> the exchange after the section that ends there; a section may go without.
    """

    def __init__(
        self,
        *,
        backbone: Encoder,
        heads: Mapping[str, Decoder],
        sections: Sequence[Sequence[int]],
        exchanges: Mapping[int, Exchange],
    ) -> None:
        by_stage = {str(level): exchange for level, exchange in exchanges.items()}
        super().__init__(backbone=backbone, heads=heads, exchanges=by_stage)
        self.sections = tuple(tuple(section) for section in sections)

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """The decoders reach the image's size by themselves; scale s has 1/2^s of it."""
        x = {task: features[-1] for task in self.tasks}  # [B,C,h,w] each
        predictions: Predictions = {task: {} for task in self.tasks}
        for levels in self.sections:
            # Task decoders, one section
            for task, head in self.heads.items():
                x[task], made = head.run(x[task], features, levels)
                predictions[task].update(made)

            # Multi-task exchange block
            reached = str(levels[-1])
            if reached in self.exchanges:
                x = self.exchanges[reached](x)
        return predictions
