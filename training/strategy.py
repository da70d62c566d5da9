"""The interface between the loop and a way of training (strategy): networks, optimizers, data streams, gradients.

Fully supervised training, depth from video and domain adaptation are three strategies; the loop is the same for all.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dataset.base import DenseDataset
from dataset.loader import Batch
from training.distributed import Processes
from training.precision import Precision


@dataclass(frozen=True)
class Engine:
    """What turns gradients into updates, the same for every strategy."""

    optimizer: Optimizer  # as the scheduler, of the multi-task network
    scheduler: LRScheduler
    precision: Precision
    processes: Processes
    max_norm: float | None = None  # largest gradient norm of the multi-task network; None or 0 does not clip


@dataclass(kw_only=True, eq=False)
class Strategy(ABC):
    """A way of training a multi-task network."""

    model: nn.Module  # evaluated; `model_<step>.pkl` holds its weights
    datasets: Mapping[str, DenseDataset]  # training data by stream name; the loop takes one batch of each a step
    engine: Engine
    networks: dict[str, nn.Module] = field(init=False)  # all trainable networks by name; the first is `model`
    optimizers: dict[str, Optimizer] = field(init=False)  # as the schedulers, by name of the network they train
    schedulers: dict[str, LRScheduler] = field(init=False)

    def __post_init__(self) -> None:
        self.networks = {"model": self.model}
        self.optimizers = {"model": self.engine.optimizer}
        self.schedulers = {"model": self.engine.scheduler}
        self.precision = self.engine.precision

    @abstractmethod
    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        """Add the gradients of one batch of every stream.

        Args:
            batches: One batch for each entry of `datasets`.
            step: The optimizer step this belongs to, counted from 1.
            share: Factor on every loss, 1 / number of batches accumulated.

        Returns:
            Named losses and measures, detached scalars on the device.
        """

    def panels(self, batches: Mapping[str, Batch], n_samples: int) -> dict[str, np.ndarray]:
        """Pictures, uint8 [H, W, 3] by name, that only this strategy can draw, of `n_samples` samples; may be empty.

        Networks may be left in evaluation mode.
        """
        return {}

    def update(self) -> None:
        """Average the gradients over processes, clip, step every optimizer and scheduler, and clear the gradients."""
        learning = [parameter for network in self.networks.values() for parameter in network.parameters()]
        self.engine.processes.average_gradients(learning)
        self.precision.clip(self.optimizers["model"], self.engine.max_norm)
        for optimizer in self.optimizers.values():
            self.precision.step(optimizer)
        self.precision.scaler.update()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        for scheduler in self.schedulers.values():
            scheduler.step()

    def train(self) -> None:
        """Put every network in training mode."""
        for network in self.networks.values():
            network.train()

    def learning_rates(self) -> dict[str, float]:
        """Learning rate of every parameter group, named `lr/<group>`."""
        rates = {}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                label = group.get("name", "default")
                rates[f"lr/{label}" if name == "model" else f"lr/{name}"] = float(group["lr"])
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes during training."""
        state = {kind: {name: part.state_dict() for name, part in parts.items()} for kind, parts in self._parts()}
        return state | {"precision": self.precision.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a run of the same strategy, strictly."""
        for kind, parts in self._parts():
            for name, part in parts.items():
                part.load_state_dict(state[kind][name])
        if state["precision"]:  # of a run in float16
            self.precision.scaler.load_state_dict(state["precision"])

    def _parts(self) -> list[tuple[str, Mapping[str, nn.Module | Optimizer | LRScheduler]]]:
        return [("networks", self.networks), ("optimizers", self.optimizers), ("schedulers", self.schedulers)]


def detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The losses without their graphs, so that logging keeps no memory alive."""
    return {name: value.detach() for name, value in losses.items()}


def to_device(batch: Batch, device: torch.device, *, channels_last: bool) -> Batch:
    """Move a batch's tensors; images and maps take the memory format of the networks."""
    moved: Batch = {}
    for name, value in batch.items():
        if isinstance(value, Tensor):
            value = value.to(device, non_blocking=True)
            if channels_last and value.dim() == 4 and value.is_floating_point() and value.shape[1] > 1:
                value = value.contiguous(memory_format=torch.channels_last)
        moved[name] = value
    return moved
