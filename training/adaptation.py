"""Unsupervised domain adaptation (DA): labels on the source, adversarial alignment of the target's predictions.

DenseMTL paper, sec. 4.4, with the output-space alignment of ADVENT (Vu et al., CVPR 2019). One step:

1. source forward, task losses, backward;
2. from the configured step on: target forward, every aligned prediction's map through its discriminator, which is
   frozen, with the loss of being taken for source; backward;
3. discriminators on the detached maps of both domains; backward.

A graph lives only until its backward: the maps of step 1 and 2 that step 3 needs are detached copies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset

from loss.adversarial import (
    SOURCE,
    TARGET,
    adversarial_loss,
    alignment_map,
    domain_accuracy,
    domain_bce,
    inverse_depth_range,
)
from loss.multitask import MultiTaskLoss
from training.strategy import Batch, Engine, Strategy, detached
from training.tasks import Task
from utils.visualize import Captioned, color_image, panel

Predictions = dict[str, dict[int, Tensor]]


@dataclass(frozen=True)
class Aligned:
    """One aligned output: which prediction, its discriminator, and how the discriminator learns."""

    task: str
    scale: int
    discriminator: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler

    @property
    def name(self) -> str:
        return f"{self.task}_{self.scale}"


@dataclass(frozen=True)
class AdaptationOptions:
    """When and how much to adapt.

    Attributes:
        start: Step, counted from 1, from which to adapt; None never.
        adversarial_weight: Factor of the network's adversarial loss (`lambda_adv_ent`).
        discriminator_weight: Factor of the discriminators' loss (`lambda_disc_ent`).
    """

    start: int | None
    adversarial_weight: float
    discriminator_weight: float


class Adaptation(Strategy):
    """Source supervision plus adversarial alignment of the target.

    Args:
        model, forward, loss, engine: See `Supervised`.
        source: Labelled images.
        target: Images; their labels, if any, are not used. None without adaptation.
        aligned: The aligned outputs; empty for the source-only lower bound.
        tasks: What people see of the tasks.
        options: When and how much to adapt.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        forward: Callable[[Tensor], Predictions],
        loss: MultiTaskLoss,
        source: Dataset,
        target: Dataset | None,
        aligned: Sequence[Aligned],
        tasks: Mapping[str, Task],
        options: AdaptationOptions,
        engine: Engine,
    ) -> None:
        datasets = {"source": source} if target is None else {"source": source, "target": target}
        super().__init__(model=model, datasets=datasets, engine=engine)
        self.forward = forward
        self.loss = loss
        self.aligned = tuple(aligned)
        self.tasks = tasks
        self.options = options
        for output in self.aligned:
            name = f"discriminator_{output.name}"
            self.networks[name] = output.discriminator
            self.optimizers[name] = output.optimizer
            self.schedulers[name] = output.scheduler

    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        source = batches["source"]
        adapts = self.aligned and self.options.start is not None and step >= self.options.start
        # 1. Source supervision
        with self.precision.autocast():
            predictions = self.forward(source["image"])
        losses = self.loss(predictions, source)
        self.precision.backward(losses["total"] * share)
        values = detached(losses)
        if not adapts:
            return values
        depth_range = None
        if any(output.task == "depth" for output in self.aligned):
            depth_range = inverse_depth_range(source["depth"], source["depth_mask"])
        with torch.no_grad():
            source_maps = self._maps(predictions, source["image"], depth_range)
        del predictions, losses
        # 2. The network makes target maps look like source maps
        target_maps = self._align(batches["target"], depth_range, share, values)
        # 3. The discriminators learn to tell them apart
        self._discriminate(source_maps, target_maps, share, values)
        return values

    def _maps(
        self, predictions: Predictions, image: Tensor, depth_range: tuple[Tensor, Tensor] | None
    ) -> dict[str, Tensor]:
        """The map of every aligned output, [B, C, H, W] at full size."""
        size = (image.shape[-2], image.shape[-1])
        return {
            output.name: alignment_map(output.task, predictions[output.task][output.scale], size, depth_range)
            for output in self.aligned
        }

    def _align(
        self, target: Batch, depth_range: tuple[Tensor, Tensor] | None, share: float, values: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Backward through the frozen discriminators into the network; returns the detached target maps."""
        with self.precision.autocast():
            predictions = self.forward(target["image"])
        # Gradients go down to the predictions one output after the other: one discriminator's graph lives at a time.
        ends = {output.name: predictions[output.task][output.scale] for output in self.aligned}
        leaves = {name: end.detach().requires_grad_() for name, end in ends.items()}
        del predictions
        size = (target["image"].shape[-2], target["image"].shape[-1])
        maps: dict[str, Tensor] = {}
        for output in self.aligned:
            seen = alignment_map(output.task, leaves[output.name], size, depth_range)
            output.discriminator.requires_grad_(False)
            with self.precision.autocast():
                logits = output.discriminator(seen)
            adversarial = adversarial_loss(logits)
            self.precision.backward(adversarial * (self.options.adversarial_weight * share / len(self.aligned)))
            output.discriminator.requires_grad_(True)
            maps[output.name] = seen.detach()
            values[f"adv_{output.name}"] = adversarial.detach()
        # These gradients carry the scaler's factor already.
        torch.autograd.backward(list(ends.values()), [leaf.grad for leaf in leaves.values()])
        return maps

    def _discriminate(
        self, source_maps: dict[str, Tensor], target_maps: dict[str, Tensor], share: float, values: dict[str, Tensor]
    ) -> None:
        """Backward into the discriminators alone."""
        for output in self.aligned:
            source, target = source_maps[output.name], target_maps[output.name]
            with self.precision.autocast():
                # One pass for both domains, since no layer mixes samples.
                logits = output.discriminator(torch.cat([source, target]))
            of_source, of_target = logits.split([len(source), len(target)])
            loss_source, loss_target = domain_bce(of_source, SOURCE), domain_bce(of_target, TARGET)
            self.precision.backward((loss_source + loss_target) / 2 * (self.options.discriminator_weight * share))
            values[f"dis_src_{output.name}"] = loss_source.detach()
            values[f"dis_tgt_{output.name}"] = loss_target.detach()
            accuracy = (domain_accuracy(of_source, SOURCE) + domain_accuracy(of_target, TARGET)) / 2
            values[f"dis_acc_{output.name}"] = accuracy

    @torch.inference_mode()
    def panels(self, batches: Mapping[str, Batch], wanted: int) -> dict[str, np.ndarray]:
        """What the discriminators see of the first samples of both domains, side by side; semseg as total entropy."""
        if not self.aligned or "target" not in batches or not wanted:
            return {}
        self.model.eval()
        source = batches["source"]
        depth_range = inverse_depth_range(source["depth"], source["depth_mask"]) if "depth" in source else None
        rows: dict[str, list[list[Captioned]]] = {}
        for domain in ("source", "target"):
            image = batches[domain]["image"][:wanted]
            with self.precision.autocast():
                predictions = self.model(image)
            maps = self._maps(predictions, image, depth_range)
            rows[domain] = [
                [(domain, color_image(image[i].float().cpu().numpy()))]
                + [
                    (output.name, self.tasks[output.task].alignment_picture(maps[output.name][i].float().cpu().numpy()))
                    for output in self.aligned
                ]
                for i in range(len(image))
            ]
        pairs = zip(rows["source"], rows["target"], strict=True)
        return {
            f"maps_{index:02d}": panel([of_source, of_target]) for index, (of_source, of_target) in enumerate(pairs)
        }
