"""Depth in metres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.base import Metric
from metrics.depth import DepthMetric
from training.tasks.base import Batch, Maps, Picture, Task
from utils.geometry import inverse_to_metres, metres_to_inverse
from utils.visualize import color_depth, depth_limits

# A network's inverse depth may be zero or negative; this is the far plane of 16 bit centimetres, 655.35 m.
SMALLEST_INVERSE_DEPTH = 1.0
PNG_SCALE = 256  # metres * 256 in 16 bit: 4 mm steps up to 255.99 m
SAMPLES = 4096  # depths of a frame, evenly spaced; enough for a median


@dataclass(kw_only=True, eq=False)
class Depth(Task):
    """Depth in metres."""

    caption = "depth"
    headlines = {"rmse": True, "abs_rel": True}
    label = "depth"

    in_metres: bool = False  # the network was trained on metres rather than on normalised inverse depth
    median_scaling: bool  # the metric scales predictions by the ratio of the medians
    limits: tuple[float, float]  # (nearest, farthest) metres that are evaluated

    def decode(self, prediction: Tensor) -> Tensor:
        if self.in_metres:
            return prediction.relu()
        return inverse_to_metres(prediction.clamp(min=SMALLEST_INVERSE_DEPTH))

    def truth(self, batch: Batch) -> tuple[Tensor, ...]:
        return batch["depth"], batch["depth_mask"]

    def metrics(self) -> dict[str, Metric]:
        return {"": self._metric(median_scaling=self.median_scaling)}

    def _metric(self, *, median_scaling: bool) -> DepthMetric:
        nearest, farthest = self.limits
        return DepthMetric(median_scaling=median_scaling, min_depth=nearest, max_depth=farthest)

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        if truth is None:
            return None, color_depth(value[0])
        depth, mask = truth[0][0], truth[1][0]  # [H, W]
        limits = depth_limits(depth, mask) if mask.any() else None
        return color_depth(depth, limits, mask), color_depth(value[0], limits)

    def files(self, value: np.ndarray, picture: Picture) -> dict[str, np.ndarray]:
        stored = (value[0] * PNG_SCALE).round().clip(0, 65535).astype(np.uint16)
        return {"depth": stored, "depth_color": picture}

    def summary(self, batch: Batch) -> Tensor:
        known = batch["depth"][batch["depth_mask"]]
        return known[:: max(1, len(known) // (SAMPLES * len(batch["depth"])))]

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        metres = torch.tensor([float(np.median(torch.cat(list(summaries)).numpy()))])
        return metres if self.in_metres else metres_to_inverse(metres)
