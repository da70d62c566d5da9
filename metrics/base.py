"""What all metrics share: sums on the device, that can be added up over processes before they are read.

A metric only updates, resets and scores; what it measures are pure functions beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# A score nobody can give, because there was nothing to measure, is None.
Scores = dict[str, float | None]


class Metric(ABC):
    """Accumulators, and the scores made from them.

    `update` only adds to the accumulators and never waits for the device; `compute` reads them once.

    Args:
        state: The accumulators at zero, float64 or int64.
    """

    update: Callable[..., None]  # (decoded prediction, *ground truth) of a batch; each metric has its own

    def __init__(self, state: Sequence[Tensor]) -> None:
        self._state = list(state)

    def state(self) -> list[Tensor]:
        """The accumulators themselves. Added up over processes in place, they describe the whole set."""
        return list(self._state)

    def reset(self) -> None:
        """Forget everything."""
        for accumulator in self._state:
            accumulator.zero_()

    def to(self, device: torch.device | str) -> "Metric":
        """Move the accumulators to where the predictions are; returns itself."""
        self._state = [accumulator.to(device) for accumulator in self._state]
        return self

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """The scores of everything since the last reset."""


def ratio(numerator: float, denominator: float) -> float | None:
    """A quotient, or None where there was nothing to measure."""
    return numerator / denominator if denominator else None


def known_mean(scores: Sequence[float | None]) -> float | None:
    """The mean of the scores there are."""
    known = [score for score in scores if score is not None]
    return ratio(sum(known), len(known))


def masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median [B] of each row of values [B, N] where mask [B, N] is true; NaN for a row without any.

    NumPy's definition, the mean of both middle values of an even number (PyTorch's `median` is the lower one). By
    sorting, because on a GPU that is ten times as fast as the selection which `median` and `kthvalue` use.
    """
    count = mask.sum(1, keepdim=True)  # [B, 1]
    ordered = torch.where(mask, values, torch.inf).sort(dim=1).values
    middle = torch.cat([(count - 1) // 2, count // 2], dim=1).clamp(0, values.shape[1] - 1)  # [B, 2]
    median = ordered.gather(1, middle).mean(1)  # [B, 2] -> [B]
    return torch.where(count[:, 0] > 0, median, torch.nan)
