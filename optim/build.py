"""From config to optimizer and schedule."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from utils.config.schema.optim import (
    ConstantScheduler,
    CosineScheduler,
    MultiStepScheduler,
    OptimConfig,
    PolyScheduler,
    SchedulerConfig,
    StepScheduler,
)
from vendor.advent.schedule import poly_factor

OPTIMIZERS = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}
FUSED_DEVICES = ("cpu", "cuda")  # where all three optimizers update a group in one kernel


def build_optimizer(cfg: OptimConfig, groups: Iterable[dict[str, Any]], *, device: torch.device) -> Optimizer:
    """The configured optimizer over `groups` (each with its "lr"), in its fastest form on `device`."""
    fused = device.type in FUSED_DEVICES
    return OPTIMIZERS[cfg.name](list(groups), **cfg.kwargs.model_dump(), fused=fused, foreach=not fused)


def build_scheduler(cfg: SchedulerConfig, optimizer: Optimizer, *, iterations: int) -> LambdaLR:
    """The configured schedule, stepped once after every optimizer step.

    Every rate is computed from the initial one and the step alone. PyTorch's own step and cosine schedules multiply the
    last rate instead, which collects rounding errors, and keep their options in their state, so that a resumed run
    would not follow its config.

    Args:
        cfg: name and options.
        optimizer: its groups' rates at this moment are the initial ones.
        iterations: steps of the run, the horizon of `poly` and `cosine` where the config gives none.
    """
    return LambdaLR(optimizer, _factor(cfg, iterations))


def _factor(cfg: SchedulerConfig, iterations: int) -> Callable[[int], float]:
    """What the initial rates are multiplied by after so many steps."""
    match cfg:
        case ConstantScheduler():
            return lambda step: 1.0
        case StepScheduler(kwargs=kwargs):
            return lambda step: kwargs.gamma ** (step // kwargs.step_size)
        case MultiStepScheduler(kwargs=kwargs):
            return lambda step: kwargs.gamma ** bisect_right(sorted(kwargs.milestones), step)
        case PolyScheduler(kwargs=kwargs):
            return lambda step: poly_factor(step, kwargs.max_iterations or iterations, kwargs.power)
        case CosineScheduler(kwargs=kwargs):
            horizon = kwargs.max_iterations or iterations
            return lambda step: 0.5 * (1 + math.cos(math.pi * min(step / horizon, 1.0)))
