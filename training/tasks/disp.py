"""Depth from video, as people see it: disparity, which knows metres only up to scale."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dataset.labels import LabelSet
from metrics.base import Metric
from training.tasks.base import Maps, Picture
from training.tasks.depth import Depth
from utils.config.schema.loss import Photometric
from utils.geometry import disparity_to_depth


class Disp(Depth):
    """Disparity in (0, 1).

    Args:
        disparity_range: (nearest, farthest) depth that disparity 1 and 0 stand for.
        median_scaling, limits: See `Depth`.
    """

    caption = "depth (up to scale)"

    def __init__(
        self, *, disparity_range: tuple[float, float], median_scaling: bool, limits: tuple[float, float]
    ) -> None:
        super().__init__(in_metres=False, median_scaling=median_scaling, limits=limits)
        self.disparity_range = disparity_range

    @classmethod
    def build(cls, section: Photometric, labels: LabelSet) -> "Disp":
        kwargs = section.kwargs
        span = (kwargs.min_depth, kwargs.max_depth)
        return cls(disparity_range=span, median_scaling=kwargs.median_scaling, limits=kwargs.measured_range)

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
        return torch.tensor([0.5])  # any: it is measured up to scale
