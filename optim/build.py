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
from utils.config.schema import OptimConfig, SchedulerConfig
from utils.errors import UserError

__all__ = ["build_optimizer", "build_scheduler", "parameter_groups"]

OPTIMIZERS = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}
FUSED_DEVICES = ("cpu", "cuda")  # where all three optimizers update a group in one kernel

DEFAULT_GAMMA = 0.1
DEFAULT_POWER = 0.9


def build_optimizer(cfg: OptimConfig, groups: Iterable[dict[str, Any]], *, device: torch.device) -> Optimizer:
    """The configured optimizer over `groups` (each with its "lr"), in its fastest form on `device`."""
    options = cfg.kwargs.model_dump(exclude_none=True)
    fused = device.type in FUSED_DEVICES
    return OPTIMIZERS[cfg.name](list(groups), **options, fused=fused, foreach=not fused)


def build_scheduler(cfg: SchedulerConfig, optimizer: Optimizer, *, iterations: int) -> FactorSchedule:
    """The configured schedule, stepped once after every optimizer step.

    Args:
        cfg: name and options; an option left out has PyTorch's default (gamma 0.1) or the paper's (power 0.9).
        optimizer: its groups' rates at this moment are the initial ones.
        iterations: steps of the run, the horizon of `poly` and `cosine` where the config gives none.

    Raises:
        UserError: an option that the schedule cannot do without is missing.
    """
    kwargs = cfg.kwargs
    gamma = kwargs.gamma or DEFAULT_GAMMA
    horizon = kwargs.max_iterations or iterations
    match cfg.name:
        case "constant":
            return ConstantSchedule(optimizer)
        case "step":
            if kwargs.step_size is None:
                raise _missing("step", "step_size", "the number of steps between two drops of the rate")
            return StepSchedule(optimizer, step_size=kwargs.step_size, gamma=gamma)
        case "multistep":
            if not kwargs.milestones:
                raise _missing("multistep", "milestones", "the steps at which the rate drops")
            return MultiStepSchedule(optimizer, milestones=kwargs.milestones, gamma=gamma)
        case "poly":
            return PolySchedule(optimizer, max_steps=horizon, power=kwargs.power or DEFAULT_POWER)
        case "cosine":
            return CosineSchedule(optimizer, max_steps=horizon)


def _missing(name: str, option: str, meaning: str) -> UserError:
    return UserError(f"scheduler.kwargs.{option}: the scheduler '{name}' needs it, {meaning}")
