"""A task as its users see it: units, metrics, pictures, files. Each task has its own file in this folder.

A prediction goes raw -> `decode` -> metrics, pictures and files, all from the same numbers, so that a figure and a
picture never disagree. The training targets are in `loss/`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from dataset.loader import Batch
from metrics.base import Metric
from utils.visualize import color_disparity

Picture = np.ndarray  # uint8 RGB [H, W, 3]
Maps = tuple[np.ndarray, ...]  # the ground truth of one sample


class Task(ABC):
    """One task of an experiment."""

    caption: ClassVar[str]  # above its pictures
    headlines: ClassVar[Mapping[str, bool]]  # figures that comparisons show: is lower better; the first is the main one
    in_percent: ClassVar[bool] = False  # delta_m takes the main figure, a fraction, in percent
    label: str  # key of the batch that must be there for a ground truth

    def __init_subclass__(cls) -> None:
        missing = [name for name in ("caption", "headlines") if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"the task {cls.__name__} lacks {' and '.join(missing)}")

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """A raw prediction [B, C, H, W], float32 and of its final size, in the units people read."""

    def truth(self, batch: Batch) -> tuple[Tensor, ...]:
        """What metrics compare decoded predictions with, from a batch that has the label; default: the label."""
        return (batch[self.label],)

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """New metrics by the suffix of their name in `metrics.json` ("" for the main one)."""

    @abstractmethod
    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        """Pictures of the ground truth, if there is one, and of a decoded prediction [C, H, W], in the same colours."""

    @abstractmethod
    def files(self, value: np.ndarray, picture: Picture) -> dict[str, np.ndarray]:
        """The PNG maps of a decoded prediction [C, H, W], and its picture, by the suffix of their file name."""

    @abstractmethod
    def summary(self, batch: Batch) -> Tensor:
        """The statistics of a training batch that `constant` needs."""

    @abstractmethod
    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        """The best constant prediction [C] in the units of a network, given the summaries of all training batches."""

    def alignment_picture(self, alignment: np.ndarray) -> Picture:
        """Picture of a discriminator's input, [C, H, W] in 0..1 (`loss/adversarial.py`), summed over the channels."""
        return color_disparity(alignment.sum(0), largest=1.0)

    @property
    def main(self) -> str:
        """Name of the main figure."""
        return next(iter(self.headlines))

    @property
    def lower_is_better(self) -> bool:
        """Whether lower is better for the main figure."""
        return self.headlines[self.main]
