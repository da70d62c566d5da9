"""Validation: every image once, every task at every supervised scale, losses and metrics, on one process or many."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dataset.base import DenseDataset
from dataset.loader import eval_loader
from loss.multitask import MultiTaskLoss
from metrics.base import Metric
from metrics.delta import delta_m
from training.distributed import Processes
from training.evaluation import Evaluation, Scores
from training.panels import sample_panels
from training.precision import Precision
from training.strategy import Batch, to_device
from training.tasks import Task, decode_final
from utils.console import progress_bar
from utils.geometry import resize

Predictions = Mapping[str, Mapping[int, Tensor]]  # by task and scale


@dataclass(frozen=True)
class Measure:
    """One entry of `metrics.json`: a metric of one task's prediction at one scale."""

    task: str
    scale: int
    metric: Metric


class Evaluator:
    """Measures a network on a dataset.

    Args:
        dataset: Labelled validation images.
        loss: The supervised losses.
        tasks: What is measured and drawn.
        scales: The scales of each task that are measured.
        precision: Number format of the forward pass.
        processes: This process's place; each measures its share of the images.
        device: Where the network is.
        options: Batch size, workers and the like.
    """

    @dataclass(frozen=True)
    class Options:
        """How to go through the dataset: `limit` images at most, `n_logged` of them drawn.

        `baselines` are what `delta_m` compares with, shares in percent.
        """

        batch_size: int
        workers: int
        channels_last: bool = True
        n_logged: int = 0
        limit: int | None = None
        baselines: Mapping[str, float] | None = None

    def __init__(
        self,
        *,
        dataset: DenseDataset,
        loss: MultiTaskLoss,
        tasks: Mapping[str, Task],
        scales: Mapping[str, Sequence[int]],
        precision: Precision,
        processes: Processes,
        device: torch.device,
        options: Options,
    ) -> None:
        self.dataset = dataset
        self.loss = loss
        self.tasks = tasks
        self.final_scales = {task: min(scales[task]) for task in tasks}
        self.measures = {
            f"{name}_{scale}{suffix}": Measure(name, scale, metric.to(device))
            for name, task in tasks.items()
            for scale in sorted(scales[name])
            for suffix, metric in task.metrics().items()
        }
        self.precision = precision
        self.processes = processes
        self.device = device
        self.options = options

    @torch.inference_mode()
    def run(self, network: nn.Module, should_stop: Callable[[], bool] = lambda: False) -> Evaluation | None:
        """Go through the dataset once.

        Args:
            network: Maps images to predictions; left in evaluation mode, its running statistics those of the main
                process on every process.
            should_stop: Asked after every batch; when true the validation is given up.

        Returns:
            The result, the same on every process, or None when given up.
        """
        begun = time.perf_counter()
        self._reset(network)
        sums: dict[str, Tensor] = {}
        panels: dict[str, np.ndarray] = {}
        count = 0
        loader = eval_loader(
            self.dataset,
            batch_size=self.options.batch_size,
            workers=self.options.workers,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
            limit=self.options.limit,
            pin_memory=self.device.type == "cuda",
        )
        bar = progress_bar(total=len(loader), description="validate", unit="batch", show=self.processes.is_main)
        stopped = 0
        with bar:
            for batch in loader:
                batch = to_device(batch, self.device, channels_last=self.options.channels_last)
                size = len(batch["image"])
                decoded = self._measure(network, batch, sums)
                if self.processes.is_main:
                    panels |= self._panels(batch, decoded, self.options.n_logged - len(panels), "valid")
                count += size
                bar.update()
                stopped = int(should_stop())
                if stopped:
                    break
        if self.processes.max_flag(stopped):
            return None
        return self._finish(sums, count, panels, begun)

    def _reset(self, network: nn.Module) -> None:
        """Forget earlier measurements and make the network ready to be measured."""
        self.processes.broadcast_(network.buffers())
        network.eval()
        for measure in self.measures.values():
            measure.metric.reset()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def _measure(self, network: nn.Module, batch: Batch, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predict a batch and update losses and metrics; returns the final decoded predictions."""
        with self.precision.autocast():
            predictions = network(batch["image"])
        height_width = (batch["image"].shape[-2], batch["image"].shape[-1])
        predictions = self._full_size(predictions, height_width)
        images = len(batch["image"])
        for name, value in self.loss(predictions, batch).items():
            sums[name] = sums.get(name, torch.zeros((), device=self.device, dtype=torch.float64)) + value * images
        truths = {name: task.truth(batch) for name, task in self.tasks.items()}
        decoded: dict[tuple[str, int], Tensor] = {}
        for measure in self.measures.values():
            output = (measure.task, measure.scale)
            if output not in decoded:
                decoded[output] = self.tasks[measure.task].decode(predictions[measure.task][measure.scale])
            measure.metric.update(decoded[output], *truths[measure.task])
        return {task: decoded[task, scale] for task, scale in self.final_scales.items()}

    def _full_size(self, predictions: Predictions, size: tuple[int, int]) -> Predictions:
        """What is measured, in float32 and of the labels' size: resized once, for losses and metrics alike."""
        measured = {(measure.task, measure.scale) for measure in self.measures.values()}
        return {
            task: {scale: resize(value.float(), size) for scale, value in scales.items() if (task, scale) in measured}
            for task, scales in predictions.items()
        }

    def _panels(self, batch: Batch, decoded: dict[str, Tensor], wanted: int, prefix: str) -> dict[str, np.ndarray]:
        """Panels of the first `wanted` samples of a batch."""
        if wanted <= 0:
            return {}
        panels = sample_panels(self.tasks, batch, decoded, wanted)
        names = (f"{prefix}_{int(index):05d}" for index in batch["index"])
        return dict(zip(names, panels, strict=False))

    @torch.inference_mode()
    def training_panels(self, network: nn.Module, batches: Mapping[str, Batch], wanted: int) -> dict[str, np.ndarray]:
        """Panels of the first samples of a training batch of each stream; leaves the network in evaluation mode."""
        network.eval()
        panels: dict[str, np.ndarray] = {}
        for stream, batch in batches.items():
            if not wanted:
                break
            with self.precision.autocast():
                predictions = network(batch["image"][:wanted])
            size = (batch["image"].shape[-2], batch["image"].shape[-1])
            decoded = decode_final(self.tasks, predictions, size)
            panels |= self._panels(batch, decoded, wanted, f"train_{stream}")
        return panels

    def _finish(self, sums: dict[str, Tensor], count: int, panels: dict[str, np.ndarray], begun: float) -> Evaluation:
        """Add up over processes and compute the figures."""
        total = torch.tensor(count, device=self.device, dtype=torch.float64)
        names = sorted({name for own in self.processes.gather(list(sums)) for name in own})
        losses = [sums.get(name, torch.zeros((), device=self.device, dtype=torch.float64)) for name in names]
        states = [state for measure in self.measures.values() for state in measure.metric.state()]
        self.processes.sum_([total, *losses, *states])
        n_images = int(total)
        scores = {name: measure.metric.compute() for name, measure in self.measures.items()}
        main, score = self._headline(scores)
        mean_losses = {name: float(loss) / n_images for name, loss in zip(names, losses, strict=True)}
        if score is None:
            score = -mean_losses["total"]
        return Evaluation(
            n_images=n_images,
            losses=mean_losses,
            metrics=scores,
            main=main,
            score=score,
            seconds=time.perf_counter() - begun,
            peak_memory_mb=self._peak_memory_mb(),
            panels=panels,
        )

    def _headline(self, scores: Scores) -> tuple[dict[str, float | None], float | None]:
        """Each task's main figure at the final scale, and the score: delta_m, or the only task's figure, or None."""
        main: dict[str, float | None] = {}
        final: dict[str, float | None] = {}
        score = None
        for name, task in self.tasks.items():
            value = scores[f"{name}_{self.final_scales[name]}"][task.main]
            main[f"{name}/{task.main}"] = value
            final[name] = 100 * value if task.in_percent and value is not None else value
            if len(self.tasks) == 1 and value is not None:
                score = -value if task.lower_is_better else value
        if self.options.baselines:
            directions = {name: task.lower_is_better for name, task in self.tasks.items()}
            main["delta_m"] = score = delta_m(final, self.options.baselines, directions)
        return main, score

    def _peak_memory_mb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
