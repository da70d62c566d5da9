"""Scores of surface normals: the angle between predicted and true normal."""

import torch
from torch import Tensor

from metrics.base import Metric, Scores, masked_median, ratio

LIMITS = {"11.25": 11.25, "22.5": 22.5, "30": 30.0}  # degrees


def angles_between(first: Tensor, second: Tensor) -> Tensor:
    """Angles in degrees [B, 1, H, W] between vectors [B, 3, H, W] of any length; 90 where one has none.

    Kahan's formula 2 atan2(|a - b|, |a + b|) for unit vectors: the arc cosine of their product cannot tell angles below
    a fiftieth of a degree from 0 in float32.
    """
    first, second = _unit(first), _unit(second)
    apart, along = first - second, first + second
    half = torch.atan2((apart * apart).sum(1, keepdim=True).sqrt(), (along * along).sum(1, keepdim=True).sqrt())
    return torch.rad2deg(2 * half)


def _unit(vectors: Tensor) -> Tensor:
    # Scaled by the largest component first: squares of lengths under 1e-19 or over 1e19 do not fit float32.
    vectors = vectors / vectors.abs().amax(1, keepdim=True).clamp(min=1e-30)
    return vectors / (vectors * vectors).sum(1, keepdim=True).clamp(min=1e-30).sqrt()


class NormalsMetric(Metric):
    """Mean, median, root mean square and shares of the angle per image, as means over images.

    An image without a valid pixel is left out. The median is exact and NumPy's.
    """

    def __init__(self) -> None:
        # Sums over images of mean, median, rmse and the shares; number of images.
        super().__init__([torch.zeros(3 + len(LIMITS), dtype=torch.float64), torch.zeros((), dtype=torch.int64)])

    def update(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add a batch: both [B, 3, H, W] of any length; mask [B, 1, H, W] bool, true where the target is valid."""
        mask = mask.flatten(1)  # [B, H * W]
        angle = angles_between(prediction.float(), target.float()).flatten(1)  # [B, H * W]
        self._state[0] += _angle_scores(angle, mask).sum(0)
        self._state[1] += mask.any(1).sum()

    def compute(self) -> Scores:
        """{"mean", "median", "rmse" in degrees, "11.25", "22.5", "30": fractions in 0..1 of angles under that many
        degrees}; all None without any valid pixel.
        """
        names = ("mean", "median", "rmse", *LIMITS)
        images = self._state[1].item()
        return {name: ratio(total, images) for name, total in zip(names, self._state[0].tolist(), strict=True)}


def _angle_scores(angle: Tensor, mask: Tensor) -> Tensor:
    """Mean, median, rmse, shares of every image, float64 [B, 6], of angles [B, N]; 0 for one without valid pixels."""
    angle = torch.where(mask, angle, 0.0)
    terms = [angle, angle * angle]
    terms += [torch.where(mask & (angle < limit), 1.0, 0.0) for limit in LIMITS.values()]
    sums = torch.stack([term.sum(1, dtype=torch.float64) for term in terms], dim=1)  # [B, 5]
    means = sums / mask.sum(1, keepdim=True).clamp(min=1)  # [B, 5] / [B, 1]
    median = torch.where(mask.any(1), masked_median(angle, mask).double(), 0.0)  # [B]
    return torch.stack([means[:, 0], median, means[:, 1].sqrt(), *means[:, 2:].unbind(1)], dim=1)
