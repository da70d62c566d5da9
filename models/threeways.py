"""3-Ways' multi-task network (`padnet+`, `3ways` in configs): PAD-Net's distillation inside skip decoders.

"Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021), a
baseline of Lopes et al., WACV 2023, sec. 4.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from models.decoder import Decoder
from models.distillation import distillation
from models.encoder import Encoder
from models.network import MultiTaskNetwork, Predictions
from utils.constants import THREE_WAYS_LEVEL


class ThreeWays(MultiTaskNetwork[Decoder]):
    """The decoders run in two sections; between them each task adds what its attention to every other task gives.

    The decoders are all of the same depth, and of the same width at `THREE_WAYS_LEVEL`.
    """

    def __init__(self, *, backbone: Encoder, heads: Mapping[str, Decoder]) -> None:
        tasks, first = tuple(heads), next(iter(heads.values()))
        exchange = distillation(tasks=tasks, targets=tasks, channels=first.num_ch_dec[THREE_WAYS_LEVEL])
        super().__init__(backbone=backbone, heads=heads, exchanges={"0": exchange})

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """The decoders reach the image's size by themselves; scale s has 1/2^s of it."""
        x, predictions = {}, {}

        # Task decoders, first section
        for task, head in self.heads.items():
            before = [level for level in head.level_order if level >= THREE_WAYS_LEVEL]
            x[task], predictions[task] = head.run(features[-1], features, before)  # [B,C,h,w]

        # Distillation
        x = self.exchanges["0"](x)

        # Task decoders, second section
        for task, head in self.heads.items():
            after = [level for level in head.level_order if level < THREE_WAYS_LEVEL]
            predictions[task].update(head.run(x[task], features, after)[1])
        return predictions
