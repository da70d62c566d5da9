"""From config to optimizer and schedule."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from utils.config.schema import OptimConfig, SchedulerConfig
from vendor.advent.schedule import poly_factor

OPTIMIZERS = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}
FUSED_DEVICES = ("cpu", "cuda")  # where all three optimizers update a group in one kernel

DEFAULT_GAMMA = 0.1
DEFAULT_POWER = 0.9


def build_optimizer(cfg: OptimConfig, groups: Iterable[dict[str, Any]], *, device: torch.device) -> Optimizer:
    """The configured optimizer over `groups` (each with its "lr"), in its fastest form on `device`."""
    options = cfg.kwargs.model_dump(exclude_none=True)
    fused = device.type in FUSED_DEVICES
    return OPTIMIZERS[cfg.name](list(groups), **options, fused=fused, foreach=not fused)


def build_scheduler(cfg: SchedulerConfig, optimizer: Optimizer, *, iterations: int) -> LambdaLR:
    """The configured schedule, stepped once after every optimizer step.

    Every rate is computed from the initial one and the step alone. PyTorch's own step and cosine schedules multiply the
    last rate instead, which collects rounding errors, and keep their options in their state, so that a resumed run
    would not follow its config.

    Args:
        cfg: name and options; an option left out has PyTorch's default (gamma 0.1) or the paper's (power 0.9).
        optimizer: its groups' rates at this moment are the initial ones.
        iterations: steps of the run, the horizon of `poly` and `cosine` where the config gives none.
    """
    return LambdaLR(optimizer, _factor(cfg, iterations))


def _factor(cfg: SchedulerConfig, iterations: int) -> Callable[[int], float]:
    """What the initial rates are multiplied by after so many steps."""
    options = cfg.kwargs
    gamma = options.gamma or DEFAULT_GAMMA
    power = options.power or DEFAULT_POWER
    horizon = options.max_iterations or iterations
    match cfg.name:
        case "constant":
            return lambda step: 1.0
        case "step":
            return lambda step: gamma ** (step // options.step_size)
        case "multistep":
            return lambda step: gamma ** bisect_right(sorted(options.milestones), step)
        case "poly":
            return lambda step: poly_factor(step, horizon, power)
        case "cosine":
            return lambda step: 0.5 * (1 + math.cos(math.pi * min(step / horizon, 1.0)))
