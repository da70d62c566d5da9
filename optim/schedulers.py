"""Learning-rate schedules: a factor of each group's initial rate, given in closed form for any step.

PyTorch's own schedulers multiply the last rate by a ratio, which collects rounding errors, and keep their options in
their state; these compute the rate from the step alone and keep only the step, so that a run continues with the
options of its config.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vendor.advent.schedule import poly_factor


class FactorSchedule(LRScheduler):
    """Base: the rate of every group after n calls of `step()` is its initial rate times `factor(n)`."""

    def factor(self, step: int) -> float:
        """Factor after `step` optimizer steps, 1 at the start."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; the rates themselves are set at once.

        Raises:
            ValueError: the state is of an optimizer with another number of groups.
        """
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise ValueError(f"state of {len(state['base_lrs'])} parameter groups, {len(self.base_lrs)} here")
        self.base_lrs = list(state["base_lrs"])
        self.last_epoch = state["step"]
        self._step_count = self.last_epoch + 1  # what LRScheduler counts to see whether the optimizer stepped first
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


class ConstantSchedule(FactorSchedule):
    """The initial rate throughout."""

    def factor(self, step: int) -> float:
        return 1.0


class MultiStepSchedule(FactorSchedule):
    """Times `gamma` from each milestone on."""

    def __init__(self, optimizer: Optimizer, *, milestones: Sequence[int], gamma: float) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class StepSchedule(FactorSchedule):
    """Times `gamma` after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, *, step_size: int, gamma: float) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class PolySchedule(FactorSchedule):
    """(1 - step / max_steps)^power, 0 from `max_steps` on."""

    def __init__(self, optimizer: Optimizer, *, max_steps: int, power: float) -> None:
        self.max_steps = max_steps
        self.power = power
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return poly_factor(step, self.max_steps, self.power)


class CosineSchedule(FactorSchedule):
    """Half a cosine from 1 to 0 over `max_steps`, 0 from there on."""

    def __init__(self, optimizer: Optimizer, *, max_steps: int) -> None:
        self.max_steps = max_steps
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step / self.max_steps, 1.0)))
