"""Semantic segmentation loss (Lopes et al., WACV 2023, sec. 3)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import Target, TaskLoss
from utils.constants import IGNORE_INDEX


class CrossEntropyLoss(TaskLoss):
    """Mean cross entropy over the labelled pixels of the batch; 0 for a batch without any.

    Images without labels (all pixels ignored) therefore add nothing, in a batch with labelled ones too.
    """

    label = "semseg"

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, H, W] int64 train ids,)"""
        return (batch["semseg"],)

    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """`prediction` are class logits [B, C, H, W]."""
        (labels,) = target
        if prediction.device.type == "cpu" and prediction.is_contiguous(memory_format=torch.channels_last):
            # As rows of logits, a view: on a CPU the softmax over channels is up to three times as slow, it takes
            # channels_last maps apart first.
            prediction, labels = prediction.movedim(1, -1).flatten(0, 2), labels.flatten()  # [B * H * W, C]
        # PyTorch's own mean is 0 / 0 for a batch without labels.
        total = F.cross_entropy(prediction, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        return total / (labels != IGNORE_INDEX).sum().clamp(min=1)
