"""What all task losses share: a target made once a batch, and a comparison made once a scale."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

Target = tuple[Tensor, ...]


class TaskLoss(nn.Module, ABC):
    """The loss of one task at one scale.

    Attributes:
        label: Key of the batch whose size the prediction is resized to.
    """

    label: ClassVar[str]

    @abstractmethod
    def target(self, batch: Mapping[str, Any]) -> Target:
        """What predictions are compared with, made from a batch (the table in `dataset/base.py`) without changing it.

        Does not depend on the scale, so `MultiTaskLoss` asks for it once a batch.
        """

    @abstractmethod
    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """The loss, a scalar, of a float32 [B, C, H, W] prediction of the label's size."""

    def forward(self, prediction: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The loss, a scalar, of a [B, C, H, W] prediction of the label's size; in float32 also under autocast."""
        with torch.autocast(prediction.device.type, enabled=False):
            return self.compare(prediction.float(), self.target(batch))


def weighted_mean(by_scale: Mapping[int, Tensor], weights: Mapping[int, float]) -> Tensor:
    """A task's loss: the mean over the supervised scales of weight * loss."""
    return reduce(torch.add, [weight * by_scale[scale] for scale, weight in weights.items()]) / len(weights)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` (bool, same shape); 0 with zero gradients where nothing is, not NaN."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
