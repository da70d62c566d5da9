"""Semantic segmentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.base import Metric
from metrics.semseg import SemsegMetric
from training.tasks.base import Batch, Maps, Picture, Task
from utils.visualize import color_semseg


@dataclass(kw_only=True, eq=False)
class Semseg(Task):
    """Class logits."""

    caption = "segmentation"
    headlines = {"mIoU": False, "Acc": False}
    in_percent = True
    label = "semseg"

    names: Sequence[str]  # of the classes, by train id
    colors: np.ndarray  # uint8 [n_classes, 3]
    subsets: Mapping[str, Sequence[int]]  # train ids over which a second mIoU is reported, see `SemsegMetric`

    def decode(self, prediction: Tensor) -> Tensor:
        return prediction

    def metrics(self) -> dict[str, Metric]:
        return {"": SemsegMetric(class_names=self.names, subsets=self.subsets)}

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        known = None if truth is None else color_semseg(truth[0], self.colors)
        return known, color_semseg(value.argmax(0), self.colors)

    def files(self, value: np.ndarray, picture: Picture) -> dict[str, np.ndarray]:
        return {"semseg": value.argmax(0).astype(np.uint8), "semseg_color": picture}

    def summary(self, batch: Batch) -> Tensor:
        known = batch["semseg"][batch["semseg"] < len(self.names)]
        return torch.bincount(known, minlength=len(self.names))

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        counts = torch.stack(list(summaries)).sum(0)
        return F.one_hot(counts.argmax(), len(counts)).float()
