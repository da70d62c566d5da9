"""Validation: every image once, every task at every supervised scale, losses and metrics, on one process or many."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from dataset.base import DenseDataset
from dataset.loader import Batch, eval_loader
from loss.multitask import MultiTaskLoss
from metrics.base import Metric
from metrics.delta import delta_m
from training.distributed import Processes
from training.evaluation import Evaluation, Figures
from training.panels import sample_panels
from training.precision import Precision
from training.strategy import to_device
from training.tasks import Task, decode_final
from utils.console import progress_bar
from utils.geometry import resize


class Interrupted(Exception):
    """The validation was abandoned because it was asked to stop."""


@dataclass(frozen=True)
class Measure:
    """One entry of `metrics.json`: a metric of one task's prediction at one scale."""

    task: str
    scale: int
    metric: Metric


@dataclass(kw_only=True)
class Evaluator:
    """Measures a network on a dataset of labelled images, of which each process measures its share."""

    dataset: DenseDataset
    loss: MultiTaskLoss
    tasks: Mapping[str, Task]
    scales: Mapping[str, Sequence[int]]  # of each task, that are measured
    precision: Precision
    processes: Processes
    device: torch.device
    batch_size: int
    workers: int
    channels_last: bool
    n_logged: int  # images that are drawn
    limit: int | None  # most images that are measured; None for all
    baselines: Mapping[str, float] | None  # references of `delta_m`, fractions in percent
    measures: dict[str, Measure] = field(init=False)  # the entries of `metrics.json`

    def __post_init__(self) -> None:
        self.scales = {task: sorted(self.scales[task]) for task in self.tasks}
        self.measures = {
            f"{name}_{scale}{suffix}": Measure(name, scale, metric.to(self.device))
            for name, task in self.tasks.items()
            for scale in self.scales[name]
            for suffix, metric in task.metrics().items()
        }

    @torch.inference_mode()
    def run(self, network: nn.Module, should_stop: Callable[[], bool] = lambda: False) -> Evaluation:
        """Go through the dataset once; the result is the same on every process.

        Args:
            network: Maps images to predictions; left in evaluation mode, its running statistics those of the main
                process on every process.
            should_stop: Asked after every batch whether to abandon the validation.

        Raises:
            Interrupted: On every process, when one was asked to stop.
        """
        started = time.perf_counter()
        self.processes.broadcast_(network.buffers())
        network.eval()
        for measure in self.measures.values():
            measure.metric.reset()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        sums: dict[str, Tensor] = {}
        panels: dict[str, np.ndarray] = {}
        count = 0
        stopped = False
        loader = eval_loader(
            self.dataset,
            batch_size=self.batch_size,
            workers=self.workers,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
            limit=self.limit,
            pin_memory=self.device.type == "cuda",
        )
        bar = progress_bar(total=len(loader), description="validate", unit="batch", show=self.processes.is_main)
        with bar:
            for batch in loader:
                batch = to_device(batch, self.device, channels_last=self.channels_last)
                decoded = self._measure(network, batch, sums)
                if self.processes.is_main:
                    panels |= sample_panels(self.tasks, batch, decoded, self.n_logged - len(panels), "valid")
                count += len(batch["image"])
                bar.update()
                stopped = should_stop()
                if stopped:
                    break
        if self.processes.max_flag(int(stopped)):
            raise Interrupted
        return self._finish(sums, count, panels, started)

    def _measure(self, network: nn.Module, batch: Batch, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predict a batch and update losses and metrics; returns the final decoded predictions."""
        images, _, height, width = batch["image"].shape
        with self.precision.autocast():
            raw = network(batch["image"])
        # In float32 and of the labels' size: resized once, for losses and metrics alike
        predictions = {
            task: {scale: resize(raw[task][scale].float(), (height, width)) for scale in scales}
            for task, scales in self.scales.items()
        }
        for name, value in self.loss(predictions, batch).items():
            sums[name] = sums.get(name, self._zero()) + value * images
        truths = {name: task.truth(batch) for name, task in self.tasks.items()}
        decoded = {
            (task, scale): self.tasks[task].decode(prediction)
            for task, scales in predictions.items()
            for scale, prediction in scales.items()
        }
        for measure in self.measures.values():
            measure.metric.update(decoded[measure.task, measure.scale], *truths[measure.task])
        return {task: decoded[task, scales[0]] for task, scales in self.scales.items()}

    @torch.inference_mode()
    def training_panels(self, network: nn.Module, batches: Mapping[str, Batch], count: int) -> dict[str, np.ndarray]:
        """Panels of the first samples of a training batch of each stream; leaves the network in evaluation mode."""
        network.eval()
        panels: dict[str, np.ndarray] = {}
        for stream, batch in batches.items():
            if count:
                height, width = batch["image"].shape[-2:]
                with self.precision.autocast():
                    predictions = network(batch["image"][:count])
                decoded = decode_final(self.tasks, predictions, (height, width))
                panels |= sample_panels(self.tasks, batch, decoded, count, f"train_{stream}")
        return panels

    def _finish(self, sums: dict[str, Tensor], count: int, panels: dict[str, np.ndarray], started: float) -> Evaluation:
        """Add up over processes and compute the figures."""
        total = self._zero() + count
        names = sorted({name for own in self.processes.gather(list(sums)) for name in own})
        losses = [sums.get(name, self._zero()) for name in names]
        states = [state for measure in self.measures.values() for state in measure.metric.state()]
        self.processes.sum_([total, *losses, *states])
        figures = {name: measure.metric.compute() for name, measure in self.measures.items()}
        mean_losses = {name: float(loss) / int(total) for name, loss in zip(names, losses, strict=True)}
        main, score = self._headline(figures)
        on_gpu = self.device.type == "cuda"
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Evaluation(
            n_images=int(total),
            losses=mean_losses,
            metrics=figures,
            main=main,
            score=-mean_losses["total"] if score is None else score,
            seconds=time.perf_counter() - started,
            peak_memory_mb=torch.cuda.max_memory_allocated(self.device) / 2**20 if on_gpu else peak_kib / 1024,
            panels=panels,
        )

    def _headline(self, figures: Figures) -> tuple[dict[str, float | None], float | None]:
        """Each task's main figure at the final scale, and the score: delta_m, or the only task's figure, or None."""
        final = {name: figures[f"{name}_{self.scales[name][0]}"][task.main] for name, task in self.tasks.items()}
        main = {f"{name}/{task.main}": final[name] for name, task in self.tasks.items()}
        lower_is_better = {name: task.lower_is_better for name, task in self.tasks.items()}
        score = None
        if len(self.tasks) == 1:
            ((name, value),) = final.items()
            score = -value if lower_is_better[name] and value is not None else value
        if self.baselines:
            percent = {
                name: 100 * value if self.tasks[name].in_percent and value is not None else value
                for name, value in final.items()
            }
            main["delta_m"] = score = delta_m(percent, self.baselines, lower_is_better)
        return main, score

    def _zero(self) -> Tensor:
        return torch.zeros((), device=self.device, dtype=torch.float64)
