"""SSIM, reprojection error and smoothness against windows written out by hand, hand-computed numbers."""

import numpy as np
import pytest
import torch

from vendor.monodepth2.photometric import (
    edge_aware_smoothness,
    reprojection_error,
    ssim_distance,
    window_moments,
)


def slow_ssim_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The definition, window by window, on [H, W] in float64."""
    x, y = (np.pad(image.astype(np.float64), 1, mode="reflect") for image in (x, y))
    height, width = x.shape[0] - 2, x.shape[1] - 2
    distance = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            a, b = x[row : row + 3, column : column + 3], y[row : row + 3, column : column + 3]
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            luminance = (2 * a.mean() * b.mean() + 0.0001) / (a.mean() ** 2 + b.mean() ** 2 + 0.0001)
            structure = (2 * covariance + 0.0009) / (a.var() + b.var() + 0.0009)
            distance[row, column] = np.clip((1 - luminance * structure) / 2, 0, 1)
    return distance


def test_ssim_is_the_definition_in_every_window():
    prediction, target = torch.rand(2, 3, 7, 9), torch.rand(2, 3, 7, 9)
    target[:, :, :3] = prediction[:, :, :3] * 0.9  # an alike part too

    distance = ssim_distance(prediction, target)

    expected = np.stack(
        [
            np.stack([slow_ssim_distance(p, t) for p, t in zip(ps, ts, strict=True)])
            for ps, ts in zip(prediction.numpy(), target.numpy(), strict=True)
        ]
    )
    np.testing.assert_allclose(distance.numpy(), expected, atol=1e-5)
    assert distance.max() > 0.6 and distance.min() < 0.05


def test_ssim_of_opposed_images_is_nearly_one_and_never_more():
    checkers = (torch.arange(8)[:, None] + torch.arange(8)[None]).remainder(2).float().view(1, 1, 8, 8)

    distance = ssim_distance(checkers, 1 - checkers)

    assert distance.max() <= 1 and distance.min() > 0.97


def test_given_moments_change_nothing():
    prediction, target = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6)

    shared = reprojection_error(prediction, target, target_moments=window_moments(target))

    assert torch.equal(shared, reprojection_error(prediction, target))


def test_reprojection_error_weighs_ssim_and_l1_and_averages_channels():
    prediction = torch.tensor([0.2, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    target = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)

    error = reprojection_error(prediction, target)

    assert error.shape == (1, 1, 4, 4)
    # SSIM of constant images is (2 * 0.12 + 0.0001) / (0.04 + 0.36 + 0.0001) = 0.60010, its distance half of 1 - that.
    expected = 0.85 * 0.19995 / 3 + 0.15 * 0.4 / 3
    torch.testing.assert_close(error, torch.full_like(error, expected), atol=1e-5, rtol=0)
    without_ssim = reprojection_error(prediction, target, use_ssim=False)
    torch.testing.assert_close(without_ssim, torch.full_like(error, 0.4 / 3))


def test_error_has_the_gradient_of_finite_differences():
    target = torch.rand(1, 2, 5, 6, dtype=torch.float64)
    prediction = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda image: reprojection_error(image, target), (prediction,))


def test_smoothness_of_a_ramp_by_hand():
    """Disparity 1 2 3 in each row: mean 2, so both steps are 0.5; the image has a step of 0.3 at the second only,
    in the mean over its channels."""
    disparity = torch.tensor([1.0, 2.0, 3.0]).expand(1, 1, 4, 3)
    image = torch.tensor([[0.1, 0.1, 1.0], [0.5, 0.5, 0.5], [0.2, 0.2, 0.2]]).view(1, 3, 1, 3).expand(1, 3, 4, 3)

    value = edge_aware_smoothness(disparity, image)

    assert value.item() == pytest.approx((0.5 + 0.5 * np.exp(-0.3)) / 2, rel=1e-5)
    turned = edge_aware_smoothness(disparity.transpose(2, 3), image.transpose(2, 3))
    assert turned.item() == pytest.approx(value.item(), rel=1e-6)


def test_smoothness_does_not_depend_on_the_scale_of_disparity():
    disparity, image = torch.rand(2, 1, 6, 6) + 0.1, torch.rand(2, 3, 6, 6)

    torch.testing.assert_close(
        edge_aware_smoothness(disparity * 0.01, image), edge_aware_smoothness(disparity, image), rtol=1e-4, atol=0
    )
