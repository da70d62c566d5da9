"""Supervised depth losses (Lopes et al., WACV 2023, sec. 3)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from loss.base import Target, TaskLoss, masked_mean
from utils.geometry import metres_to_inverse
from vendor.three_ways.berhu import berhu


class BerhuLoss(TaskLoss):
    """berHu between normalised inverse depths, for a network that predicts inverse depth."""

    label = "depth"

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, 1, H, W] normalised inverse depth, [B, 1, H, W] bool measured)"""
        return metres_to_inverse(batch["depth"].float()), batch["depth_mask"]

    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """`prediction` is normalised inverse depth [B, 1, H, W]."""
        inverse, mask = target
        return berhu(prediction, inverse, mask)


class L1DepthLoss(TaskLoss):
    """Mean absolute error in metres over measured pixels, for a network whose output after a ReLU is metres."""

    label = "depth"

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, 1, H, W] metres, [B, 1, H, W] bool measured)"""
        return batch["depth"].float(), batch["depth_mask"]

    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """`prediction` is [B, 1, H, W], in metres once negative values are cut off."""
        metres, mask = target
        return masked_mean((prediction.relu() - metres).abs(), mask)
