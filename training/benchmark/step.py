"""Speed of a training step, beside the speed of one large convolution in the same run.

The yardstick is a 3x3 convolution of 128 to 128 channels at 128x256, channels_last, in the step's number format: about
the best that a network of such layers can reach. Steps and convolutions alternate, so that a machine that slows down
slows both.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from training.benchmark.memory import peak_of_step
from training.benchmark.noise import describe, noise_batches, noise_strategy
from training.benchmark.textbook import textbook
from training.strategy import Batch, Strategy
from utils.config.load import Experiment

Size = tuple[int, ...]
CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # which PyTorch's counter ignores
CHANNELS, HEIGHT, WIDTH = 128, 128, 256  # of the yardstick
CONVOLUTIONS = 4  # timed together, as one alone is short
CONVOLUTIONS_ON_GPU = 400  # where one takes tens of microseconds


def step(experiment: Experiment, device: torch.device, *, repeats: int) -> dict[str, Any]:
    """Median seconds of an optimizer step, and the share of the yardstick's speed it reaches.

    The floating point operations of a step are three times those of the network's forward passes over the images of
    every stream, losses, discriminators and the pose network left out. `model_gflop` counts those of the layers as the
    paper has them (`training/benchmark/textbook.py`), however they are computed; `executed_gflop` what is really run.
    """
    peak_bytes, _ = peak_of_step(experiment, device)
    strategy, _ = noise_strategy(experiment, device)
    training = experiment.config.training
    batches = next(noise_batches(experiment, strategy, device))

    def one_step() -> None:
        # The last step of the run, for whatever the experiment starts with later is part of it.
        for _ in range(training.accumulate):
            strategy.backward(batches, step=training.iterations, share=1 / training.accumulate)
        strategy.update()

    convolve, convolution_flops = yardstick(strategy, device)
    model, executed = (3 * flops * training.accumulate for flops in forward_flops(strategy, batches))
    for _ in range(2):
        one_step()
        convolve()
    steps, convolutions = [], []
    for _ in range(repeats):
        convolutions.append(seconds_of(convolve, device))
        steps.append(seconds_of(one_step, device))
    seconds = statistics.median(steps)
    peak = convolution_flops / statistics.median(convolutions)
    return describe(experiment, device, "step") | {
        "compile": training.compile,
        "seconds_per_step": round(seconds, 4),
        "fastest_step": round(min(steps), 4),
        "images_per_second": round(experiment.config.data.train_bs * training.accumulate / seconds, 3),
        "model_gflop": round(model / 1e9, 1),
        "executed_gflop": round(executed / 1e9, 1),
        "peak_gflop_per_second": round(peak / 1e9, 1),
        "ratio": round(model / seconds / peak, 3),
        "executed_ratio": round(executed / seconds / peak, 3),
        "peak_mib": round(peak_bytes / 2**20, 1),
    }


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Duration of `work`, on a GPU until all it queued there is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def forward_flops(strategy: Strategy, batches: dict[str, Batch]) -> tuple[int, int]:
    """Floating point operations of the forward passes over one batch of every stream: textbook form, and as run."""
    counts = []
    for network in (textbook(strategy.model), strategy.model):
        counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: _attention_flops})
        with counter, torch.no_grad(), strategy.precision.autocast():
            for batch in batches.values():
                network(batch["image"])
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


def _attention_flops(query: Size, key: Size, value: Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def yardstick(strategy: Strategy, device: torch.device) -> tuple[Callable[[], None], int]:
    """Some large convolutions in the number format of the strategy, and the floating point operations of them."""
    memory = {"memory_format": torch.channels_last}
    dtype = strategy.precision.dtype
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(device, dtype, **memory)
    x = torch.randn(2, CHANNELS, HEIGHT, WIDTH, device=device).to(dtype=dtype, **memory)
    convolutions = CONVOLUTIONS if device.type == "cpu" else CONVOLUTIONS_ON_GPU

    @torch.no_grad()
    def convolve() -> None:
        for _ in range(convolutions):
            layer(x)

    return convolve, 2 * convolutions * x.numel() * CHANNELS * 9
