"""Surface normals."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import TaskLoss
from metrics.base import Metric
from metrics.normals import NormalsMetric
from training.tasks.base import Batch, Maps, Picture, Task
from utils.visualize import color_normals


class Normals(Task):
    """Unit vectors: x right, y down, z towards the camera."""

    caption = "normals"
    headlines = {"mean": True, "median": True}

    def __init__(self, *, loss: TaskLoss) -> None:
        self.loss = loss  # makes the target of a batch: the stored normals, or those of its depth
        self.label = loss.label

    def decode(self, prediction: Tensor) -> Tensor:
        return F.normalize(prediction, dim=1)

    def truth(self, batch: Batch) -> tuple[Tensor, ...]:
        return self.loss.target(batch)

    def metrics(self) -> dict[str, Metric]:
        return {"": NormalsMetric()}

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        known = None if truth is None else color_normals(truth[0], truth[1][0])
        return known, color_normals(value)

    def files(self, value: np.ndarray, picture: Picture) -> dict[str, np.ndarray]:
        return {"normals": picture}

    def summary(self, batch: Batch) -> Tensor:
        normals, mask = self.truth(batch)
        return (normals * mask).sum((0, 2, 3)).double()  # [3]

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        return F.normalize(torch.stack(list(summaries)).sum(0), dim=0).float()

    def alignment_picture(self, alignment: np.ndarray) -> Picture:
        return color_normals(alignment)
