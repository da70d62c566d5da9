"""The baselines without any exchange: single-task learning (one head) and plain multi-task learning (several).

Lopes et al., WACV 2023, sec. 4 (STL and MTL).
"""

from collections.abc import Sequence

from torch import Tensor

from models.decoder import Decoder
from models.deeplab import DeepLabHead
from models.network import MultiTaskNetwork, Predictions


class Baseline(MultiTaskNetwork[Decoder | DeepLabHead]):
    """One encoder and, on its features, the head of each task."""

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """The heads reach the image's size by themselves."""
        return {task: head(features) for task, head in self.heads.items()}
