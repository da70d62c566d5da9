"""Scores of edge detection: F1 of both classes."""

import torch
from torch import Tensor

from metrics.base import Metric, Scores, known_mean, ratio
from metrics.confusion import confusion_matrix


class EdgesMetric(Metric):
    """Pixelwise F1 at the likelier class, from one confusion matrix over the whole set."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(2, 2, dtype=torch.int64)])

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch: logits [B, 2, H, W] of (no edge, edge) or classes [B, H, W]; int64 [B, H, W], 1 on edges, 0
        elsewhere, other values are not counted.
        """
        self._state[0] += confusion_matrix(prediction, target, 2)

    def compute(self) -> Scores:
        """{"F1": mean of both classes, "F1_edge", "F1_no_edge"} as fractions in 0..1.

        A class neither in the labels nor in the predictions has None and is left out of the mean.
        """
        (tn, fp), (fn, tp) = self._state[0].tolist()
        edge, no_edge = ratio(2 * tp, 2 * tp + fp + fn), ratio(2 * tn, 2 * tn + fp + fn)
        return {"F1": known_mean([edge, no_edge]), "F1_edge": edge, "F1_no_edge": no_edge}
