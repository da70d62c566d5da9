"""Peak memory of a training step: everything that PyTorch holds from the construction of the network on.

That is weights, gradients, optimizer state, batches and activations. On CUDA the allocator reports it
(`torch.cuda.max_memory_allocated`); on the CPU the allocations and releases that the profiler records are added up,
without what oneDNN allocates for itself inside a convolution.
"""

import gc
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from training.benchmark.noise import describe, noise_batches, noise_strategy
from utils.config.load import Experiment

MIB = 2**20
Result = TypeVar("Result")


def memory(experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Peak memory of a training step in MiB; for domain adaptation also that of the supervised step it contains.

    `state_mib` is the part that does not grow with the images: weights, gradients and optimizer state.
    """
    config = experiment.config
    peak, state = peak_of_step(experiment, device)
    result = describe(experiment, device, "memory") | {
        "method": "max_memory_allocated" if device.type == "cuda" else "profiler",
        "peak_mib": round(peak / MIB, 1),
        "state_mib": round(state / MIB, 1),
    }
    if config.data.target is not None:
        data = config.data.model_copy(update={"target": None})
        training = config.training.model_copy(update={"da": None})
        supervised = config.model_copy(update={"data": data, "training": training})
        lower, lower_state = peak_of_step(replace(experiment, config=supervised), device)
        result["supervised_peak_mib"] = round(lower / MIB, 1)
        result["supervised_state_mib"] = round(lower_state / MIB, 1)
        result["ratio"] = round(peak / lower, 3)
    return result


def peak_of_step(experiment: Experiment, device: torch.device) -> tuple[int, int]:
    """Bytes at the peak of a training step with existing optimizer state, and the bytes of its state.

    The state is all weights, a gradient for each, and the optimizers' moments.
    """

    def two_steps() -> int:
        training = experiment.config.training
        strategy, _ = noise_strategy(experiment, device)
        batches = noise_batches(experiment, strategy, device)
        # The last steps include whatever the experiment starts late, such as adaptation.
        for step in (training.iterations - 1, training.iterations):
            for _ in range(training.accumulate):
                strategy.backward(next(batches), step=step, share=1 / training.accumulate)
            strategy.update()
        weights = [weight for network in strategy.networks.values() for weight in network.parameters()]
        states = [state for optimizer in strategy.optimizers.values() for state in optimizer.state.values()]
        moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return 2 * sum(weight.nbytes for weight in weights) + sum(moment.nbytes for moment in moments)

    gc.collect()
    return (_peak_on_cuda if device.type == "cuda" else peak_on_cpu)(two_steps)


def _peak_on_cuda(work: Callable[[], Result]) -> tuple[int, Result]:
    """Bytes that `work` allocates at its peak beyond the start, and its result; `work` is done twice.

    The first time cuDNN tries algorithms, for some of which it borrows all the free memory.
    """
    work()
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = work()
    return torch.cuda.max_memory_allocated() - before, result


def peak_on_cpu(work: Callable[[], Result]) -> tuple[int, Result]:
    """Bytes that `work`, done once, allocates at its peak by the profiler's record, and its result."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # no warnings about missing GPUs
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
