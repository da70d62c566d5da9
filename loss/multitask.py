"""The sum of all task losses over all supervised scales (Lopes et al., WACV 2023, sec. 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from loss.base import TaskLoss
from utils.geometry import resize


@dataclass(frozen=True)
class SupervisedTask:
    """One task's part of the sum.

    Attributes:
        loss: What compares a prediction with the labels.
        weights: Weight by supervised scale; their order is that of the loss names.
    """

    loss: TaskLoss
    weights: Mapping[int, float]

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("a supervised task needs at least one scale, got none")
        if min(self.weights.values()) < 0:
            raise ValueError(f"weights of a loss must not be negative, got {dict(self.weights)}")


class MultiTaskLoss(nn.Module):
    """Sum over tasks of the mean over scales of weight * loss.

    Args:
        tasks: What is supervised, by task, in the order of the config. May be empty: the total is 0 then, which is how
            a network that learns depth from video alone is trained.
    """

    def __init__(self, *, tasks: Mapping[str, SupervisedTask]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict({name: task.loss for name, task in tasks.items()})
        self.weights = {name: dict(task.weights) for name, task in tasks.items()}

    def forward(self, predictions: Mapping[str, Mapping[int, Tensor]], batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Compare raw predictions with the labels of a batch, in float32 also under autocast.

        Args:
            predictions: Per task and scale [B, C, h, w], as the network gave them; other tasks and scales are ignored.
            batch: A collated sample (the table in `dataset/base.py`), left as it is.

        Returns:
            Scalars: "total"; "<task>", as it stands in the total; and "<task>_<scale>" before weighting, so that runs
            with other weights can be compared.

        Raises:
            ValueError: a supervised task or scale is not among the predictions.
        """
        losses = {"total": batch["image"].new_zeros((), dtype=torch.float32)}
        with torch.autocast(batch["image"].device.type, enabled=False):
            for task, weights in self.weights.items():
                losses |= self._task(task, weights, predictions.get(task, {}), batch)
                losses["total"] = losses["total"] + losses[task]
        return losses

    def _task(
        self, task: str, weights: Mapping[int, float], predictions: Mapping[int, Tensor], batch: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The scalars of one task; the target, the same for all scales, is made once."""
        loss = self.losses[task]
        target = loss.target(batch)
        size = batch[loss.label].shape[-2:]
        by_scale = {}
        for scale in weights:
            if scale not in predictions:
                raise ValueError(f"the loss of {task} needs its scale {scale}, predicted are {sorted(predictions)}")
            by_scale[scale] = loss.compare(resize(predictions[scale].float(), size), target)
        mean = sum(weight * by_scale[scale] for scale, weight in weights.items()) / len(weights)
        return {task: mean} | {f"{task}_{scale}": value for scale, value in by_scale.items()}
