"""Appearance errors for depth from video: SSIM distance, reprojection error, edge-aware smoothness.

Defined by Monodepth2 (Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019); this is
our own implementation. Images are float32 in [0, 1]; B batch, C channels, H x W pixels.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
SSIM_WEIGHT = 0.85


class WindowMoments(NamedTuple):
    """Mean and variance of every 3x3 window of an image, both [B, C, H, W]."""

    mean: Tensor
    variance: Tensor


def mean_3x3(image: Tensor) -> Tensor:
    """Mean of the 3x3 window around every pixel [B, C, H, W], the border reflected (H and W at least 2).

    Sums of shifted views: on a CPU four times as fast as `avg_pool2d`, and unlike a convolution never in TF32, which
    would drown the small differences that variances are.
    """
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")  # [B, C, H + 2, W + 2]
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]  # [B, C, H, W + 2]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9  # [B, C, H, W]


def window_moments(image: Tensor) -> WindowMoments:
    """Moments of an image [B, C, H, W], to be shared by all comparisons with it."""
    mean = mean_3x3(image)
    return WindowMoments(mean, mean_3x3(image * image) - mean * mean)


def ssim_distance(prediction: Tensor, target: Tensor, target_moments: WindowMoments | None = None) -> Tensor:
    """(1 - SSIM) / 2 of two images [B, C, H, W], within 0 (alike) and 1, per pixel and channel.

    `target_moments` are `window_moments(target)`, when they are at hand already.
    """
    mean_t, variance_t = target_moments or window_moments(target)
    mean_p, variance_p = window_moments(prediction)
    mean_product = mean_p * mean_t
    covariance = mean_3x3(prediction * target) - mean_product
    similar = (2 * mean_product + SSIM_C1) * (2 * covariance + SSIM_C2)
    total = (mean_p * mean_p + mean_t * mean_t + SSIM_C1) * (variance_p + variance_t + SSIM_C2)
    return ((1 - similar / total) / 2).clamp(0, 1)


def reprojection_error(
    prediction: Tensor, target: Tensor, *, use_ssim: bool = True, target_moments: WindowMoments | None = None
) -> Tensor:
    """0.85 SSIM distance + 0.15 L1, both averaged over channels: [B, C, H, W] x 2 -> [B, 1, H, W].

    Without SSIM, L1 alone. `target_moments` as in `ssim_distance`.
    """
    l1 = (prediction - target).abs().mean(1, keepdim=True)
    if not use_ssim:
        return l1
    ssim = ssim_distance(prediction, target, target_moments).mean(1, keepdim=True)
    return SSIM_WEIGHT * ssim + (1 - SSIM_WEIGHT) * l1


def edge_aware_smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Edge-aware smoothness, a scalar, of the mean-normalised disparity [B, 1, H, W] > 0 of an image [B, C, H, W].

    Absolute differences of neighbouring disparities, weighted down where the image changes too, so that depth may
    jump at the borders of objects. The division by the mean takes away the gain from shrinking all disparities.
    """
    normalised = disparity / (disparity.mean((2, 3), keepdim=True) + 1e-7)
    total = disparity.new_zeros(())
    for axis in (2, 3):
        change = normalised.diff(dim=axis).abs()
        edge = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (change * (-edge).exp()).mean()
    return total
