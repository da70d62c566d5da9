"""Peak memory of a training step: all that PyTorch holds from the making of the network on.

That is weights, gradients, optimizer state, batches and activations. On CUDA the allocator tells
(`torch.cuda.max_memory_allocated`); on the CPU the allocations and releases that the profiler records are added up,
which leaves out what oneDNN allocates for itself inside a convolution.
"""

import gc
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from training.benchmark.noise import describe, noise_batches, noise_strategy
from training.strategy import Strategy
from utils.config.load import Experiment

MIB = 2**20
Result = TypeVar("Result")


def memory(experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Peak memory of a training step in MiB; of domain adaptation also that of the supervised step it contains.

    `state_mib` is the part that does not grow with the images: weights, gradients and optimizer state.
    """
    data = experiment.config.data
    peak, state = peak_of_step(experiment, device)
    result = describe(experiment, device, "memory") | {
        "method": "max_memory_allocated" if device.type == "cuda" else "profiler",
        "peak_mib": round(peak / MIB, 1),
        "state_mib": round(state / MIB, 1),
    }
    if data.target is not None:
        supervised_peak, supervised_state = peak_of_step(_supervised(experiment), device)
        result["supervised_peak_mib"] = round(supervised_peak / MIB, 1)
        result["supervised_state_mib"] = round(supervised_state / MIB, 1)
        result["ratio"] = round(peak / supervised_peak, 3)
    return result


def _supervised(experiment: Experiment) -> Experiment:
    """The experiment without its target."""
    config = experiment.config
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"target": None}),
            "training": config.training.model_copy(update={"da": None}),
        }
    )
    return Experiment(config=config, raw=experiment.raw, name=experiment.name)


def peak_of_step(experiment: Experiment, device: torch.device) -> tuple[int, int]:
    """Bytes at the peak of a training step that finds an optimizer state, and those of them that are state."""

    def two_steps() -> int:
        training = experiment.config.training
        strategy, _ = noise_strategy(experiment, device)
        batches = noise_batches(experiment, strategy, device)
        # Whatever the experiment starts with later, such as adaptation, is part of the step.
        for step in (training.iterations - 1, training.iterations):
            for _ in range(training.accumulate):
                strategy.backward(next(batches), step=step, share=1 / training.accumulate)
            strategy.update()
        return _state(strategy)

    gc.collect()
    return (_peak_on_cuda if device.type == "cuda" else _peak_on_cpu)(two_steps)


def _state(strategy: Strategy) -> int:
    """Bytes of all weights, of a gradient for each, and of all optimizer state."""
    weights = [weight for network in strategy.networks.values() for weight in network.parameters()]
    states = [state for optimizer in strategy.optimizers.values() for state in optimizer.state.values()]
    moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return 2 * sum(weight.nbytes for weight in weights) + sum(moment.nbytes for moment in moments)


def _peak_on_cuda(work: Callable[[], Result]) -> tuple[int, Result]:
    """Bytes that `work` allocates at its peak beyond what there was, and what it gives; `work` is done twice.

    The first time cuDNN tries algorithms, for some of which it borrows all the memory that is free.
    """
    work()
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = work()
    return torch.cuda.max_memory_allocated() - before, result


def _peak_on_cpu(work: Callable[[], Result]) -> tuple[int, Result]:
    """As `_peak_on_cuda`, from the profiler's record of doing it once."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # silent about GPUs that are not there
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        record.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event["args"]["Ev Idx"]):
        held += event["args"]["Bytes"]  # negative where memory is released
        peak = max(peak, held)
    return peak, result
