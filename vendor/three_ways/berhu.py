"""The reverse Huber (berHu) loss: L1 for small errors, squared for large ones, so that far-off pixels weigh more.

Introduced to depth estimation by Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks",
3DV 2016; in this form, with its threshold taken from the batch, used by 3-Ways (Hoyer et al., "Three Ways to Improve
Semantic Segmentation with Self-Supervised Depth Estimation", CVPR 2021).
"""

import torch
from torch import Tensor


def berhu(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean over all pixels, measured or not, of the berHu error, which is 0 where not measured. A scalar.

    With e = |prediction - target| and c a fifth of the largest e, the error is e up to c, (e^2 + c^2) / (2c) beyond;
    both branches meet at c with the same slope. c is a constant for the gradient.

    Args:
        prediction: float [B, 1, H, W].
        target: [B, 1, H, W]; may hold anything where not measured.
        mask: [B, 1, H, W] bool, true where measured.
    """
    error = torch.where(mask, prediction - target, 0.0).abs()
    # Kept above 0, as a batch without errors would put 0 / 0 into the gradient of the branch not taken.
    threshold = (0.2 * error.detach().amax()).clamp(min=1e-12)
    return torch.where(error <= threshold, error, (error * error + threshold * threshold) / (2 * threshold)).mean()
