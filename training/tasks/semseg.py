"""Semantic segmentation, as people see it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dataset.labels import LabelSet
from metrics.base import Metric
from metrics.semseg import SemsegMetric
from training.tasks.base import Batch, Maps, Picture, Task
from utils.config.schema.loss import TaskLossConfig
from utils.visualize import color_semseg


class Semseg(Task):
    """Class logits.

    Args:
        names: Of the classes, by train id.
        colors: uint8 [n_classes, 3].
        subsets: Train ids over which a further mIoU is reported, see `SemsegMetric`.
    """

    caption = "segmentation"
    headlines = {"mIoU": False, "Acc": False}
    in_percent = True
    label = "semseg"

    def __init__(self, *, names: Sequence[str], colors: np.ndarray, subsets: Mapping[str, Sequence[int]]) -> None:
        self.names = names
        self.colors = colors
        self.subsets = subsets

    @classmethod
    def build(cls, section: TaskLossConfig, labels: LabelSet) -> "Semseg":
        return cls(names=labels.names, colors=labels.colors, subsets=labels.subsets)

    def decode(self, prediction: Tensor) -> Tensor:
        return prediction

    def truth(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch["semseg"],)

    def metrics(self) -> dict[str, Metric]:
        return {"": SemsegMetric(class_names=self.names, subsets=self.subsets)}

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        known = None if truth is None else color_semseg(truth[0], self.colors)
        return known, color_semseg(value.argmax(0), self.colors)

    def files(self, value: np.ndarray) -> dict[str, np.ndarray]:
        train_ids = value.argmax(0).astype(np.uint8)
        return {"semseg": train_ids, "semseg_color": color_semseg(train_ids, self.colors)}

    def summary(self, batch: Batch) -> Tensor:
        known = batch["semseg"][batch["semseg"] < len(self.names)]
        return torch.bincount(known, minlength=len(self.names))

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        counts = torch.stack(list(summaries)).sum(0)
        return F.one_hot(counts.argmax(), len(counts)).float()
