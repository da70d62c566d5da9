"""Fully supervised training (FS): one labelled image stream, the sum of the task losses. DenseMTL paper, sec. 4.1."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from dataset.base import DenseDataset
from dataset.loader import Batch
from loss.multitask import MultiTaskLoss
from models.network import Predictions
from training.strategy import Engine, Strategy, detached


class Supervised(Strategy):
    """Forward, loss, backward.

    Args:
        model: The multi-task network.
        forward: How to run it: the network itself, or its compiled form.
        loss: The multi-task loss.
        dataset: Labelled training images.
        engine: Optimizer and what goes with it.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        forward: Callable[[Tensor], Predictions],
        loss: MultiTaskLoss,
        dataset: DenseDataset,
        engine: Engine,
    ) -> None:
        super().__init__(model=model, datasets={"source": dataset}, engine=engine)
        self.forward = forward
        self.loss = loss

    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        batch = batches["source"]
        with self.precision.autocast():
            predictions = self.forward(batch["image"])
        losses = self.loss(predictions, batch)
        self.precision.backward(losses["total"] * share)
        return detached(losses)
