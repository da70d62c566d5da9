"""The baselines without any exchange: single-task learning (one head) and plain multi-task learning (several).

Lopes et al., WACV 2023, sec. 4 (STL and MTL).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.decoder import Decoder
from models.deeplab import DeepLabHead
from models.network import MultiTaskNetwork, Predictions


class Baseline(MultiTaskNetwork):
    """One encoder and, on its features, the head of each task.

    Args:
        backbone: the encoder, giving a list of five features.
        heads: head of each task, in the order of the tasks.
    """

    def __init__(self, *, backbone: nn.Module, heads: Mapping[str, Decoder | DeepLabHead]) -> None:
        super().__init__(backbone=backbone, heads=heads, exchanges={})

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """The heads reach the image's size by themselves."""
        return {task: head(features) for task, head in self.heads.items()}
