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

from dataset.loader import Batch
from loss.adversarial import SOURCE, TARGET, alignment_map, domain_accuracy, domain_bce, inverse_depth_range
from loss.multitask import MultiTaskLoss
from models.network import Predictions
from training.panels import to_numpy
from training.strategy import Strategy, detached
from training.tasks import Task
from utils.visualize import Captioned, color_image, panel

DepthRange = tuple[Tensor, Tensor]  # smallest and largest


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


@dataclass(kw_only=True, eq=False)
class Adaptation(Strategy):
    """Source supervision plus adversarial alignment of the target.

    `datasets` holds "source", labelled images, and "target", images whose labels, if any, are not used; the target is
    left out without adaptation.
    """

    forward: Callable[[Tensor], Predictions]  # the network itself, or its compiled form
    loss: MultiTaskLoss
    aligned: Sequence[Aligned]  # empty for the source-only lower bound
    tasks: Mapping[str, Task]
    start: int | None  # first step, counted from 1, that adapts; None for never
    adversarial_weight: float  # of the network's adversarial loss
    discriminator_weight: float  # of the discriminators' loss

    def __post_init__(self) -> None:
        super().__post_init__()
        for output in self.aligned:
            name = f"discriminator_{output.name}"
            self.networks[name] = output.discriminator
            self.optimizers[name] = output.optimizer
            self.schedulers[name] = output.scheduler

    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        source = batches["source"]
        # 1. Source supervision
        with self.precision.autocast():
            predictions = self.forward(source["image"])
        losses = self.loss(predictions, source)
        self.precision.backward(losses["total"] * share)
        values = detached(losses)
        if not self.aligned or self.start is None or step < self.start:
            return values
        depth_range = _depth_range(source)
        with torch.no_grad():
            source_maps = self._maps(predictions, source["image"], depth_range)
        del predictions, losses
        # 2. The network makes target maps look like source maps
        target_maps, adversarial = self._align(batches["target"], depth_range, share)
        # 3. The discriminators learn to tell them apart
        return values | adversarial | self._discriminate(source_maps, target_maps, share)

    def _maps(self, predictions: Predictions, image: Tensor, depth_range: DepthRange | None) -> dict[str, Tensor]:
        """The map of every aligned output, [B, C, H, W] at full size."""
        size = (image.shape[-2], image.shape[-1])
        return {
            output.name: alignment_map(output.task, predictions[output.task][output.scale], size, depth_range)
            for output in self.aligned
        }

    def _align(
        self, target: Batch, depth_range: DepthRange | None, share: float
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Backward through the frozen discriminators into the network; returns target maps and losses, detached."""
        with self.precision.autocast():
            predictions = self.forward(target["image"])
        # Gradients reach the predictions one output after the other, so that one discriminator's graph lives at a time.
        ends = {output.name: predictions[output.task][output.scale] for output in self.aligned}
        leaves = {name: end.detach().requires_grad_() for name, end in ends.items()}
        del predictions
        height, width = target["image"].shape[-2:]
        maps: dict[str, Tensor] = {}
        losses: dict[str, Tensor] = {}
        for output in self.aligned:
            alignment = alignment_map(output.task, leaves[output.name], (height, width), depth_range)
            output.discriminator.requires_grad_(False)
            with self.precision.autocast():
                logits = output.discriminator(alignment)
            adversarial = domain_bce(logits, SOURCE)
            self.precision.backward(adversarial * (self.adversarial_weight * share / len(self.aligned)))
            output.discriminator.requires_grad_(True)
            maps[output.name] = alignment.detach()
            losses[f"adv_{output.name}"] = adversarial.detach()
        # These gradients already carry the scaler's factor.
        torch.autograd.backward(list(ends.values()), [leaf.grad for leaf in leaves.values()])
        return maps, losses

    def _discriminate(
        self, source_maps: dict[str, Tensor], target_maps: dict[str, Tensor], share: float
    ) -> dict[str, Tensor]:
        """Backward into the discriminators alone; returns their losses and accuracies, detached."""
        values: dict[str, Tensor] = {}
        for output in self.aligned:
            source, target = source_maps[output.name], target_maps[output.name]
            with self.precision.autocast():
                # One pass for both domains, since no layer mixes samples.
                logits = output.discriminator(torch.cat([source, target]))
            of_source, of_target = logits.split([len(source), len(target)])
            loss_source, loss_target = domain_bce(of_source, SOURCE), domain_bce(of_target, TARGET)
            self.precision.backward((loss_source + loss_target) / 2 * (self.discriminator_weight * share))
            values[f"dis_src_{output.name}"] = loss_source.detach()
            values[f"dis_tgt_{output.name}"] = loss_target.detach()
            accuracy = (domain_accuracy(of_source, SOURCE) + domain_accuracy(of_target, TARGET)) / 2
            values[f"dis_acc_{output.name}"] = accuracy
        return values

    @torch.inference_mode()
    def panels(self, batches: Mapping[str, Batch], n_samples: int) -> dict[str, np.ndarray]:
        """The discriminators' inputs for the first samples of both domains, side by side; semseg as total entropy."""
        if not self.aligned or "target" not in batches or not n_samples:
            return {}
        self.model.eval()
        depth_range = _depth_range(batches["source"])
        rows: dict[str, list[list[Captioned]]] = {}
        for domain in ("source", "target"):
            image = batches[domain]["image"][:n_samples]
            with self.precision.autocast():
                predictions = self.model(image)
            maps = self._maps(predictions, image, depth_range)
            cells = {domain: [color_image(sample) for sample in to_numpy(image)]}
            for output in self.aligned:
                draw = self.tasks[output.task].alignment_picture
                cells[output.name] = [draw(sample) for sample in to_numpy(maps[output.name])]
            rows[domain] = [list(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
        pairs = zip(rows["source"], rows["target"], strict=True)
        return {f"maps_{index:02d}": panel(pair) for index, pair in enumerate(pairs)}


def _depth_range(source: Batch) -> DepthRange | None:
    """The range of inverse depth that maps of depth are scaled by; None for a batch without depth."""
    return inverse_depth_range(source["depth"], source["depth_mask"]) if "depth" in source else None
