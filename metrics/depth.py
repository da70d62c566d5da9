"""Scores of depth: the errors and accuracies of Eigen et al., NeurIPS 2014."""

import torch
from torch import Tensor

from metrics.base import Metric, Scores, masked_median, ratio
from utils.constants import MAX_DEPTH, MIN_DEPTH

# a1, a2, a3: shares of pixels whose depths, true and predicted, differ by less than this factor.
FACTORS = (1.25, 1.25**2, 1.25**3)


def depth_errors(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error, abs_rel, sq_rel, a1, a2, a3 of every image, float64 [B, 6]; 0 for one without valid pixels.

    Args:
        prediction: [B, N] metres, positive.
        target: [B, N] metres, positive where valid.
        mask: [B, N] bool, true where valid.
    """
    # Any pair of equal depths keeps what is not measured finite; its terms are dropped below.
    prediction, target = torch.where(mask, prediction, 1.0), torch.where(mask, target, 1.0)
    difference = (prediction - target).abs()
    squared = difference * difference
    factor = torch.maximum(prediction / target, target / prediction)
    terms = [squared, difference / target, squared / target]
    terms += [torch.where(mask & (factor < limit), 1.0, 0.0) for limit in FACTORS]
    sums = torch.stack([term.sum(1, dtype=torch.float64) for term in terms], dim=1)  # [B, 6]
    return sums / mask.sum(1, keepdim=True).clamp(min=1)  # [B, 6] / [B, 1]


class DepthMetric(Metric):
    """Means over images; an image without a valid pixel is left out.

    Args:
        median_scaling: Multiply each prediction by median(truth) / median(prediction) over its valid pixels, for
            networks that know depth only up to scale. The median is NumPy's.
        min_depth, max_depth: Metres; truth outside is not valid, predictions are clamped to them after scaling.
    """

    def __init__(
        self, *, median_scaling: bool = False, min_depth: float = MIN_DEPTH, max_depth: float = MAX_DEPTH
    ) -> None:
        self.median_scaling = median_scaling
        self.min_depth = min_depth
        self.max_depth = max_depth
        # Sums over images of `depth_errors`, number of images.
        super().__init__([torch.zeros(6, dtype=torch.float64), torch.zeros((), dtype=torch.int64)])

    def update(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add a batch: both [B, 1, H, W] metres, the prediction up to scale with `median_scaling`; mask bool, true
        where the target is measured.
        """
        prediction, target = prediction.float().flatten(1), target.float().flatten(1)  # [B, H * W]
        mask = mask.flatten(1) & (target > self.min_depth) & (target < self.max_depth)  # [B, H * W]
        if self.median_scaling:
            scale = masked_median(target, mask) / masked_median(prediction, mask).clamp(min=1e-9)
            prediction = prediction * scale.unsqueeze(1)  # [B, H * W] * [B, 1]
        # A limit of 0 metres stands for none, but ratios need predictions above it.
        prediction = prediction.clamp(max(self.min_depth, 1e-6), self.max_depth)
        self._state[0] += depth_errors(prediction, target, mask).sum(0)
        self._state[1] += mask.any(1).sum()

    def compute(self) -> Scores:
        """{"rmse" in metres (root of the mean over images of the mean squared error), "abs_rel", "sq_rel" in metres,
        "a1", "a2", "a3" as fractions in 0..1}; all None without any valid pixel.
        """
        names = ("mse", "abs_rel", "sq_rel", "a1", "a2", "a3")
        images = self._state[1].item()
        scores = {name: ratio(total, images) for name, total in zip(names, self._state[0].tolist(), strict=True)}
        mse = scores.pop("mse")
        return {"rmse": None if mse is None else mse**0.5} | scores
