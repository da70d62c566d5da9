"""From config to optimizer and schedule. Parameter groups are made by `optim.groups.parameter_groups`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from optim.groups import parameter_groups
from optim.schedulers import (
    ConstantSchedule,
    CosineSchedule,
    FactorSchedule,
    MultiStepSchedule,
    PolySchedule,
    StepSchedule,
)
from utils.config.schema.optim import (
    ConstantScheduler,
    CosineScheduler,
    MultiStepScheduler,
    OptimConfig,
    PolyScheduler,
    SchedulerConfig,
    StepScheduler,
)

__all__ = ["build_optimizer", "build_scheduler", "parameter_groups"]

OPTIMIZERS = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}
FUSED_DEVICES = ("cpu", "cuda")  # where all three optimizers update a group in one kernel


def build_optimizer(cfg: OptimConfig, groups: Iterable[dict[str, Any]], *, device: torch.device) -> Optimizer:
    """The configured optimizer over `groups` (each with its "lr"), in its fastest form on `device`."""
    fused = device.type in FUSED_DEVICES
    return OPTIMIZERS[cfg.name](list(groups), **cfg.kwargs.model_dump(), fused=fused, foreach=not fused)


def build_scheduler(cfg: SchedulerConfig, optimizer: Optimizer, *, iterations: int) -> FactorSchedule:
    """The configured schedule, stepped once after every optimizer step.

    Args:
        cfg: name and options.
        optimizer: its groups' rates at this moment are the initial ones.
        iterations: steps of the run, the horizon of `poly` and `cosine` where the config gives none.
    """
    match cfg:
        case ConstantScheduler():
            return ConstantSchedule(optimizer)
        case StepScheduler(kwargs=kwargs):
            return StepSchedule(optimizer, step_size=kwargs.step_size, gamma=kwargs.gamma)
        case MultiStepScheduler(kwargs=kwargs):
            return MultiStepSchedule(optimizer, milestones=kwargs.milestones, gamma=kwargs.gamma)
        case PolyScheduler(kwargs=kwargs):
            return PolySchedule(optimizer, max_steps=kwargs.max_iterations or iterations, power=kwargs.power)
        case CosineScheduler(kwargs=kwargs):
            return CosineSchedule(optimizer, max_steps=kwargs.max_iterations or iterations)
