"""Speed of a training step, relative to the speed of one large convolution in the same run.

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

from dataset.loader import Batch
from training.benchmark.memory import MIB, peak_of_step
from training.benchmark.noise import describe, noise_batches, noise_strategy
from training.benchmark.textbook import textbook
from training.strategy import Strategy
from utils.config.load import Experiment

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # which PyTorch's counter ignores
CHANNELS, HEIGHT, WIDTH = 128, 128, 256  # of the yardstick
CONVOLUTIONS = {"cpu": 4, "cuda": 400}  # timed together, as one alone is short: tens of microseconds on a GPU


def step(experiment: Experiment, device: torch.device, *, repeats: int) -> dict[str, Any]:
    """Median seconds of an optimizer step, and the share of the yardstick's speed that it reaches.

    The floating point operations of a step are counted as three times those of the network's forward passes over the
    images of every stream, without losses, discriminators and the pose network: `model_gflop` for the layers of the
    paper in the textbook form, `executed_gflop` for the operations really run.
    """
    peak_bytes, _ = peak_of_step(experiment, device)
    strategy, _ = noise_strategy(experiment, device)
    training = experiment.config.training
    batches = next(noise_batches(experiment, strategy, device))

    def one_step() -> None:
        for _ in range(training.accumulate):
            # The last step of the run includes whatever the experiment starts late, such as adaptation.
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
        "peak_mib": round(peak_bytes / MIB, 1),
    }


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Duration of `work`, on a GPU until everything it queued there is done."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


def forward_flops(strategy: Strategy, batches: dict[str, Batch]) -> tuple[int, int]:
    """Floating point operations of the forward passes over one batch of every stream: textbook form, and as run."""

    def attention(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    counts = []
    for network in (textbook(strategy.model), strategy.model):
        counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: attention})
        with counter, torch.no_grad(), strategy.precision.autocast():
            for batch in batches.values():
                network(batch["image"])
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


def yardstick(strategy: Strategy, device: torch.device) -> tuple[Callable[[], None], int]:
    """Some large convolutions in the number format of the strategy, and their floating point operations."""
    dtype = strategy.precision.dtype
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(device, dtype).to(memory_format=torch.channels_last)
    x = torch.randn(2, CHANNELS, HEIGHT, WIDTH, device=device).to(dtype, memory_format=torch.channels_last)
    count = CONVOLUTIONS[device.type]

    @torch.no_grad()
    def convolve() -> None:
        for _ in range(count):
            layer(x)

    return convolve, 2 * count * x.numel() * CHANNELS * 9
