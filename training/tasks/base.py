"""What people see of a task; a file per task beside this one says it of each, and `training/tasks` collects them.

A prediction goes raw -> `decode` -> metrics, pictures and files, all from the same numbers, so that a figure and a
picture never disagree. What a task's prediction is compared with while it learns stands in `loss/`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from dataset.labels import LabelSet
from metrics.base import Metric
from utils.config.schema.loss import TaskLossConfig
from utils.visualize import color_disparity

Batch = Mapping[str, Any]
Picture = np.ndarray  # uint8 RGB [H, W, 3]
Maps = tuple[np.ndarray, ...]  # the ground truth of one sample


class Task(ABC):
    """One task of an experiment.

    Attributes:
        caption: what stands above its pictures.
        headlines: the figures that comparisons show, and whether lower is better; the first stands for the task.
        in_percent: whether delta_m takes the first headline, a fraction, in percent.
        label: key of the batch without which there is no ground truth.
    """

    caption: ClassVar[str]
    headlines: ClassVar[Mapping[str, bool]]
    in_percent: ClassVar[bool] = False
    label: str

    @classmethod
    @abstractmethod
    def build(cls, section: TaskLossConfig, labels: LabelSet) -> "Task":
        """The task as its loss in the config has it, with the classes of its dataset."""

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """A raw prediction [B, C, H, W], float32 and of its final size, in the units people read."""

    @abstractmethod
    def truth(self, batch: Batch) -> tuple[Tensor, ...]:
        """What metrics compare decoded predictions with, made from a batch that has the label."""

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """New metrics by the suffix of their name in `metrics.json` ("" for the one that stands for the task)."""

    @abstractmethod
    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        """Pictures of the ground truth, where there is one, and of a decoded prediction [C, H, W], alike in colours."""

    @abstractmethod
    def files(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """What prediction writes of a decoded prediction [C, H, W]: PNG pictures and maps by the end of their name."""

    @abstractmethod
    def summary(self, batch: Batch) -> Tensor:
        """What `constant` needs to know of a training batch."""

    @abstractmethod
    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        """The best constant prediction [C] in the units of a network, given the summaries of all training batches."""

    def alignment_picture(self, alignment: np.ndarray) -> Picture:
        """Picture of what a discriminator sees, [C, H, W] in 0..1 (`loss/adversarial.py`); classes are added up."""
        return color_disparity(alignment.sum(0), largest=1.0)

    @property
    def main(self) -> str:
        """The figure that stands for the task."""
        return next(iter(self.headlines))

    @property
    def lower_is_better(self) -> bool:
        """Of the figure that stands for the task."""
        return self.headlines[self.main]
