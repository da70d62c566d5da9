"""Depth from video: disparity, which gives metres only up to scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.base import Metric
from training.tasks.base import Maps, Picture
from training.tasks.depth import Depth
from utils.geometry import disparity_to_depth


@dataclass(kw_only=True, eq=False)
class Disp(Depth):
    """Disparity in (0, 1)."""

    caption = "depth (up to scale)"

    disparity_range: tuple[float, float]  # (nearest, farthest) depth that disparity 1 and 0 stand for

    def decode(self, prediction: Tensor) -> Tensor:
        return disparity_to_depth(prediction, *self.disparity_range)

    def metrics(self) -> dict[str, Metric]:
        return super().metrics() | {"_unscaled": self._metric(median_scaling=False)}

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        if truth is not None and truth[1].any():
            depth, mask = truth[0][0], truth[1][0]  # [H, W]
            value = value * np.median(depth[mask]) / np.median(value[0][mask])
        return super().pictures(value, truth)

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        return torch.tensor([0.5])  # any will do, since it is evaluated up to scale
