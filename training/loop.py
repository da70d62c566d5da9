"""The training loop, one for all strategies: batches, gradients, update, log, validate, checkpoint.

The loop uses of a strategy only what `training/strategy.py` declares. It owns the run's progress and is the only writer
of the run folder, and only on the main process.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dataset.loader import Batch, train_loader
from training.device import runs_channels_last
from training.distributed import Processes, under_torchrun
from training.evaluation import Evaluation
from training.evaluator import Evaluator, Interrupted
from training.loggers import Logger
from training.run_folder import RunFolder
from training.state import Progress, save_state
from training.stop import StopRequest
from training.strategy import Strategy, to_device
from utils.config.schema.data import DataConfig
from utils.config.schema.training import TrainingConfig
from utils.console import LOGGER, progress_bar
from utils.errors import Failure, Stopped
from utils.files import save_json, save_tensors
from utils.seed import random_states, restore_random_states


class Diverged(Failure):
    """The loss is no longer a number; the last checkpoint is from before."""


@dataclass
class Meter:
    """The losses since the last log line, summed on the device so that the step never waits for it."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of one batch."""
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.steps += 1


@dataclass(kw_only=True)
class Loop:
    """Trains until `training.iterations` optimizer steps are done."""

    strategy: Strategy
    evaluator: Evaluator
    folder: RunFolder
    training: TrainingConfig
    data: DataConfig
    progress: Progress
    random: list[dict] | None  # generators' states of a resumed run, one per process; None leaves them as they are
    loggers: list[Logger]  # empty on all processes but the main one
    processes: Processes
    device: torch.device
    meter: Meter = field(default_factory=Meter)

    def run(self) -> Evaluation | None:
        """Train to the end; returns the last validation.

        Raises:
            Stopped: A signal asked to stop; the state is saved.
            Diverged: A loss became NaN or infinite.
        """
        streams = self._streams()
        if self.random is not None:  # last, because opening loaders draws random numbers
            restore_random_states(self.random[self.processes.rank])
        self.strategy.train()
        result = None
        total = self.training.iterations
        bar = progress_bar(total=total, initial=self.progress.step, description="train", show=self.processes.is_main)
        with StopRequest(patient=under_torchrun()) as stop, bar:
            step = self.progress.step
            due = step > 0 and validation_due(step, self.training.val_interval, total)
            if due and self.progress.validated < step:  # the run was stopped before it
                result = self._validate(stop, {})
            # Signals reach the processes at different moments: all act on the last exchanged flag, not on `stop`.
            stopping = self.processes.max_flag(stop.signal)
            while self.progress.step < total and not stopping:
                batches = self._step(streams)
                bar.update()
                step = self.progress.step
                if step % self.training.print_interval == 0 or step == total:
                    self._log()
                stopping = self.processes.max_flag(stop.signal)
                if validation_due(step, self.training.val_interval, total) and not stopping:
                    result = self._validate(stop, batches)
                    stopping = self.processes.max_flag(stop.signal)
                if step % self.training.checkpoint_interval == 0 or step == total or stopping:
                    self._checkpoint()
            if stopping:
                done = f"after step {self.progress.step}; --resume continues this run"
                unsaved = "before the first step; nothing was saved"
                raise Stopped(stopping, f"stopped {done if self.progress.step else unsaved}")
        if self.training.save_finished_model and self.processes.is_main:
            save_tensors(self.folder.model(total), self.strategy.model.state_dict())
        return result

    def _streams(self) -> dict[str, Iterator[Batch]]:
        """Endless batches of each stream, from the run's position on."""
        return {
            name: iter(
                train_loader(
                    dataset,
                    batch_size=self.data.train_bs,
                    workers=self.training.n_workers,
                    seed=self.training.seed,
                    shuffle=self.training.shuffle_trainset,
                    start_batch=self.progress.batches.get(name, 0),
                    rank=self.processes.rank,
                    world_size=self.processes.world_size,
                    pin_memory=self.device.type == "cuda",
                )
            )
            for name, dataset in self.strategy.datasets.items()
        }

    def _step(self, streams: dict[str, Iterator[Batch]]) -> dict[str, Batch]:
        """One optimizer step; returns the last batch of every stream."""
        share = 1 / self.training.accumulate
        channels_last = runs_channels_last(self.training.channels_last, self.device, trains=True)
        for _ in range(self.training.accumulate):
            started = time.perf_counter()
            batches = {}
            for name, stream in streams.items():
                batches[name] = to_device(next(stream), self.device, channels_last=channels_last)
                self.progress.batches[name] = self.progress.batches.get(name, 0) + 1
            self.meter.waited += time.perf_counter() - started
            self.meter.add(self.strategy.backward(batches, step=self.progress.step + 1, share=share))
            self.meter.images += self.data.train_bs * self.processes.world_size
        self.strategy.update()
        self.progress.step += 1
        return batches

    def _log(self) -> None:
        """Report the mean losses since the last report."""
        values = self._mean_losses()
        meter, self.meter = self.meter, Meter()
        seconds = time.perf_counter() - meter.started
        values |= self.strategy.learning_rates()
        values["time/seconds_per_step"] = seconds / max(1, meter.steps / self.training.accumulate)
        values["time/images_per_second"] = meter.images / seconds
        values["time/data_share"] = meter.waited / seconds
        losses = "  ".join(
            f"{name[6:]} {value:.4g}"
            for name, value in values.items()
            if name.startswith("train/") and not name[-1].isdigit()  # scales are in the log file
        )
        LOGGER.info(
            "step %d/%d  %s  %.1f images/s", self.progress.step, self.training.iterations, losses,
            values["time/images_per_second"],
        )  # fmt: skip
        for logger in self.loggers:
            logger.log(self.progress.step, values)

    def _mean_losses(self) -> dict[str, float]:
        """Means since the last report, the same on every process; the only place in training that waits for the device.

        Raises:
            Diverged: One of them is NaN or infinite.
        """
        names = list(self.meter.sums)
        if not names:
            return {}
        means = torch.stack([self.meter.sums[name].double() for name in names]) / self.meter.steps
        self.processes.sum_([means])
        values = {f"train/{n}": v for n, v in zip(names, (means / self.processes.world_size).tolist(), strict=True)}
        bad = ", ".join(name for name, value in values.items() if not math.isfinite(value))
        if bad:
            raise Diverged(
                f"step {self.progress.step}: {bad} is no longer finite. The last checkpoint in {self.folder.path} is "
                "from before; lower setup.lr or set optim.clip_grad_norm"
            )
        return values

    def _validate(self, stop: StopRequest, batches: dict[str, Batch]) -> Evaluation | None:
        """Validate, log, and keep the weights if they are the best so far."""
        self._mean_losses()  # a diverged network must not replace anything
        started = time.perf_counter()
        try:
            result = self.evaluator.run(self.strategy.model, should_stop=lambda: bool(stop.signal))
        except Interrupted:
            self.strategy.train()
            return None
        step = self.progress.step
        self.progress.validated = step
        best = self.progress.best
        is_best = math.isfinite(result.score) and (best is None or result.score > best)
        if is_best:
            self.progress.best = result.score
        if self.processes.is_main:
            LOGGER.info("validation after step %d: %s%s", step, result.summary(), "  (best so far)" if is_best else "")
            save_json(self.folder.metrics, result.as_json(step))
            if is_best and self.training.save_model:
                save_tensors(self.folder.best_model, self.strategy.model.state_dict())
            model, logged = self.strategy.model, self.data.n_train_logged
            result.panels |= self.evaluator.training_panels(model, batches, logged)
            result.panels |= self.strategy.panels(batches, logged)
            result.write_panels(self.folder.panels, step)
            for logger in self.loggers:
                logger.log(step, result.flat())
                logger.log_panels(step, result.panels)
        self.strategy.train()
        self.meter.started += time.perf_counter() - started  # validation time is not training time
        return result

    def _checkpoint(self) -> None:
        """Write the whole state, with the random generators of every process."""
        self._mean_losses()  # a diverged network must not replace anything
        random = self.processes.gather(random_states())
        self.progress.world_size = self.processes.world_size
        if self.processes.is_main:
            save_state(self.folder.resume, progress=self.progress, strategy=self.strategy.state_dict(), random=random)
        self.processes.barrier()


def validation_due(step: int, schedule: Mapping[int, int], iterations: int) -> bool:
    """Whether to validate after `step` (counted from 1): at a multiple of the interval in force, and at the end.

    `schedule`, `{from_step: every}`, may grow sparser or denser as training goes on. In force is the entry with the
    largest key below `step`; there must be one for 0.
    """
    return step == iterations or step % schedule[max(start for start in schedule if start < step)] == 0
