"""Fully supervised training (FS): one labelled image stream, the sum of the task losses. DenseMTL paper, sec. 4.1."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from dataset.loader import Batch
from loss.multitask import MultiTaskLoss
from models.network import Predictions
from training.strategy import Strategy, detached


@dataclass(kw_only=True, eq=False)
class Supervised(Strategy):
    """Forward, loss, backward; `datasets` holds "source", labelled images."""

    forward: Callable[[Tensor], Predictions]  # the network itself, or its compiled form
    loss: MultiTaskLoss

    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        batch = batches["source"]
        with self.precision.autocast():
            predictions = self.forward(batch["image"])
        losses = self.loss(predictions, batch)
        self.precision.backward(losses["total"] * share)
        return detached(losses)
