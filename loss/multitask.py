"""The sum of all task losses over all supervised scales (Lopes et al., WACV 2023, sec. 3)."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from loss.base import TaskLoss, weighted_mean
from utils.geometry import resize


class MultiTaskLoss(nn.Module):
    """Sum over tasks of the mean over scales of weight * loss.

    Args:
        losses: what compares a prediction with the labels, by task, in the order of the config. May be empty: the
            total is 0 then, which is how a network that learns depth from video alone is trained.
        weights: by task and supervised scale; the order of scales is that of the loss names.
    """

    def __init__(self, *, losses: Mapping[str, TaskLoss], weights: Mapping[str, Mapping[int, float]]) -> None:
        super().__init__()
        # Typed as what it holds, which a ModuleDict cannot say.
        self.losses = cast(Mapping[str, TaskLoss], nn.ModuleDict(dict(losses)))
        self.weights = {task: dict(by_scale) for task, by_scale in weights.items()}

    def forward(self, predictions: Mapping[str, Mapping[int, Tensor]], batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Compare raw predictions with the labels of a batch, in float32 also under autocast.

        Args:
            predictions: Per task and scale [B, C, h, w], as the network gave them; other tasks and scales are ignored.
            batch: A collated sample (the table in `dataset/base.py`), left as it is.

        Returns:
            Scalars: "total"; "<task>", as it stands in the total; and "<task>_<scale>" before weighting, so that runs
            with other weights can be compared.
        """
        losses = {"total": batch["image"].new_zeros((), dtype=torch.float32)}
        with torch.autocast(batch["image"].device.type, enabled=False):
            for task, loss in self.losses.items():
                target = loss.target(batch)  # the same for all scales
                size = batch[loss.label].shape[-2:]
                by_scale = {
                    scale: loss.compare(resize(predictions[task][scale].float(), size), target)
                    for scale in self.weights[task]
                }
                losses[task] = weighted_mean(by_scale, self.weights[task])
                losses |= {f"{task}_{scale}": value for scale, value in by_scale.items()}
                losses["total"] = losses["total"] + losses[task]
        return losses
