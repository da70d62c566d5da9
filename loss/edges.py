"""Edge detection loss: two-class cross entropy with class weights (Lopes et al., WACV 2023, sec. 4, NYUDv2)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import Target, TaskLoss
from utils.constants import IGNORE_INDEX


class EdgesLoss(TaskLoss):
    """Cross entropy of (no edge, edge) logits, weighted [1 - pos_weight, pos_weight], as edges are rare.

    The mean is PyTorch's weighted one, sum of weight * error / sum of weights, over the pixels that have a label.
    """

    label = "edges"

    def __init__(self, *, pos_weight: float = 0.95) -> None:
        super().__init__()
        self.pos_weight = pos_weight

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, H, W] int64, 1 on edges, 0 elsewhere,)"""
        return (batch["edges"],)

    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """`prediction` are logits [B, 2, H, W]."""
        (labels,) = target
        # Weights from the labels, not as a tensor of two for `cross_entropy`: nothing to keep on the right device.
        weight = torch.where(labels == 1, self.pos_weight, 1 - self.pos_weight)
        weight = torch.where(labels == IGNORE_INDEX, 0.0, weight)
        error = F.cross_entropy(prediction, labels, ignore_index=IGNORE_INDEX, reduction="none")  # [B, H, W]
        return (weight * error).sum() / weight.sum().clamp(min=1e-6)
