"""From config to optimizer and schedule."""

import math
from bisect import bisect_right
from collections.abc import Iterable
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
    return LambdaLR(optimizer, lambda step: _factor(cfg, step, iterations))


def _factor(cfg: SchedulerConfig, step: int, iterations: int) -> float:
    """What the initial rates are multiplied by after so many steps."""
    match cfg:
        case ConstantScheduler():
            return 1.0
        case StepScheduler():
            return cfg.kwargs.gamma ** (step // cfg.kwargs.step_size)
        case MultiStepScheduler():
            return cfg.kwargs.gamma ** bisect_right(sorted(cfg.kwargs.milestones), step)
        case PolyScheduler():  # of DeepLab (Chen et al., 2017), and of ADVENT's discriminators
            return max(0.0, 1 - step / (cfg.kwargs.max_iterations or iterations)) ** cfg.kwargs.power
        case CosineScheduler():
            return 0.5 * (1 + math.cos(math.pi * min(step / (cfg.kwargs.max_iterations or iterations), 1.0)))
