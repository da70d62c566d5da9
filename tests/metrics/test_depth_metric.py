"""Depth scores against plain numpy, image by image, and hand-computed cases."""

import numpy as np
import pytest
import torch

from metrics.base import masked_median
from metrics.depth import DepthMetric
from tests.helpers.forbid_sync import ForbidSync

NAMES = ["rmse", "abs_rel", "sq_rel", "a1", "a2", "a3"]


def scores_of(prediction, target, mask=None, **kwargs) -> dict:
    metric = DepthMetric(**kwargs)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool) if mask is None else mask)
    return metric.compute()


def by_numpy(prediction, target, mask, median_scaling: bool) -> dict[str, float]:
    """Errors image by image, as the definition reads."""
    rows = []
    for image, truth, measured in zip(prediction.double(), target.double(), mask, strict=True):
        valid = (measured & (truth > 1e-3) & (truth < 80)).numpy()
        if not valid.any():
            continue
        p, t = image.numpy()[valid], truth.numpy()[valid]
        if median_scaling:
            p = p * np.median(t) / np.median(p)
        p = np.clip(p, 1e-3, 80)
        factor = np.maximum(p / t, t / p)
        shares = [(factor < 1.25**k).mean() for k in (1, 2, 3)]
        rows.append([((p - t) ** 2).mean(), (abs(p - t) / t).mean(), ((p - t) ** 2 / t).mean(), *shares])
    means = np.mean(rows, axis=0)
    return dict(zip(NAMES, [means[0] ** 0.5, *means[1:]], strict=True))


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(prediction, target, mask) [5, 1, 8, 9]: truth beyond 80 m and below 1 mm among it, one image without a mask."""
    target = torch.rand(5, 1, 8, 9) * 100
    target[:, :, 0, 0] = 5e-4
    prediction = 3 * target * (1 + 0.4 * torch.randn(5, 1, 8, 9)).clamp(0.1)
    mask = torch.rand(5, 1, 8, 9) > 0.3
    mask[2] = False
    return prediction, target, mask


@pytest.mark.parametrize("median_scaling", [False, True])
def test_equals_numpy_image_by_image(maps, median_scaling):
    scores = scores_of(*maps, median_scaling=median_scaling)
    assert list(scores) == NAMES
    assert scores == pytest.approx(by_numpy(*maps, median_scaling), rel=1e-5)


def test_by_hand():
    target = torch.tensor([2.0, 4.0, 10.0, 500.0]).view(1, 1, 1, 4)
    prediction = torch.tensor([2.4, 8.0, 10.0, 1.0]).view(1, 1, 1, 4)  # factors 1.2, 2, 1; the last is out of range
    scores = scores_of(prediction, target)
    expected = {
        "rmse": ((0.16 + 16) / 3) ** 0.5,
        "abs_rel": (0.2 + 1) / 3,
        "sq_rel": (0.16 / 2 + 16 / 4) / 3,
        "a1": 2 / 3,
        "a2": 2 / 3,
        "a3": 2 / 3,
    }
    assert scores == pytest.approx(expected, rel=1e-6)


def test_rmse_is_the_root_of_the_mean_over_images():
    target = torch.full((2, 1, 2, 2), 10.0)
    prediction = torch.tensor([11.0, 17.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert scores_of(prediction, target)["rmse"] == pytest.approx(((1 + 49) / 2) ** 0.5)  # not (1 + 7) / 2


def test_images_weigh_the_same_whatever_their_masks():
    target = torch.full((2, 1, 2, 5), 10.0)
    prediction = torch.tensor([10.0, 20.0]).view(2, 1, 1, 1).expand(2, 1, 2, 5)
    mask = torch.ones(2, 1, 2, 5, dtype=torch.bool)
    mask[1, :, :, 1:] = False
    assert scores_of(prediction, target, mask)["abs_rel"] == pytest.approx(0.5)


def test_prediction_is_clamped_and_scaling_comes_first():
    target = torch.tensor([70.0, 70.0]).view(1, 1, 1, 2)
    assert scores_of(target * 100, target)["rmse"] == pytest.approx(10.0)
    assert scores_of(target * 100, target, median_scaling=True)["rmse"] == pytest.approx(0.0, abs=1e-4)
    # Neither a prediction of nothing nor one below zero may be infinitely wrong.
    assert scores_of(target * 0 - 3, target)["abs_rel"] == pytest.approx(1.0, rel=1e-4)


def test_limits_of_the_truth():
    target = torch.tensor([5.0, 20.0]).view(1, 1, 1, 2)
    prediction = torch.tensor([5.0, 5.0]).view(1, 1, 1, 2)
    assert scores_of(prediction, target, max_depth=20.0)["rmse"] == 0.0  # 20 itself is outside
    assert scores_of(prediction, target, max_depth=20.1)["rmse"] > 0


@pytest.mark.parametrize("median_scaling", [False, True])
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 0.0, -5.0])
def test_what_is_not_measured_may_hold_anything(maps, garbage, median_scaling):
    prediction, target, mask = maps
    spoiled = torch.where(mask, target, garbage)
    expected = scores_of(prediction, target, mask, median_scaling=median_scaling)
    assert scores_of(prediction, spoiled, mask, median_scaling=median_scaling) == expected


@pytest.mark.parametrize("median_scaling", [False, True])
def test_nothing_measured_gives_none(median_scaling):
    maps = torch.rand(2, 1, 3, 3)
    none = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    assert scores_of(maps, maps, none, median_scaling=median_scaling) == dict.fromkeys(NAMES)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_median_is_numpys(count):
    values = torch.randn(3, 12)
    mask = torch.zeros(3, 12, dtype=torch.bool)
    for row in mask:
        row[torch.randperm(12)[:count]] = True
    expected = [np.median(row[keep].numpy()) for row, keep in zip(values, mask, strict=True)]
    assert masked_median(values, mask).tolist() == pytest.approx(expected)


def test_median_of_nothing_is_nan():
    assert masked_median(torch.randn(1, 5), torch.zeros(1, 5, dtype=torch.bool)).isnan().all()


def test_leaves_its_input_and_does_not_wait_for_the_device(maps):
    copies = [value.clone() for value in maps]
    metric = DepthMetric(median_scaling=True)
    with ForbidSync():
        metric.update(*maps)
    assert all(torch.equal(a, b) for a, b in zip(maps, copies, strict=True))
