"""Counts of (true class, predicted class) pairs."""

import torch
from torch import Tensor


def confusion_matrix(prediction: Tensor, target: Tensor, n_classes: int) -> Tensor:
    """Number of pixels of every true class (row) that were given every class (column).

    Args:
        prediction: [B, C, H, W] class scores (the largest wins), or int64 [B, H, W] class ids within 0..n_classes-1.
        target: int64 [B, H, W]; pixels outside 0..n_classes-1, the ignore label among them, are not counted.
        n_classes: Number of classes.

    Returns:
        int64 [n_classes, n_classes].
    """
    if prediction.dim() == 4:
        prediction = prediction.argmax(1)  # [B, H, W]
    labelled = (target >= 0) & (target < n_classes)
    # Pixels not counted go to a bin of their own behind the matrix: selecting the others would wait for the device,
    # and so would `bincount`, which on a GPU looks for the largest value whatever its minlength.
    bins = n_classes * n_classes
    pair = torch.where(labelled, n_classes * target + prediction, bins).flatten()  # [B * H * W]
    counts = torch.zeros(bins + 1, dtype=torch.int64, device=target.device)
    one = torch.ones((), dtype=torch.int64, device=target.device)
    counts.index_add_(0, pair, one.expand_as(pair))
    return counts[:-1].view(n_classes, n_classes)  # [n_classes^2] -> [n_classes, n_classes]
