"""Normal scores against known angles and plain numpy, image by image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation

from metrics.normals import NormalsMetric, angles_between
from tests.helpers.forbid_sync import ForbidSync

NAMES = ["mean", "median", "rmse", "11.25", "22.5", "30"]


def scores_of(prediction, target, mask) -> dict:
    metric = NormalsMetric()
    metric.update(prediction, target, mask)
    return metric.compute()


def turned(degrees: list[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(prediction, target, mask) of one image, one row: each prediction is its target turned by so many degrees."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(len(degrees), 3))
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    across = np.cross(target, rng.normal(size=target.shape))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    prediction = Rotation.from_rotvec(across * np.radians(degrees)[:, None]).apply(target)
    mask = torch.ones(1, 1, 1, len(degrees), dtype=torch.bool)
    maps = [torch.from_numpy(v.T.copy()).float().view(1, 3, 1, -1) for v in (prediction, target)]
    return maps[0], maps[1], mask


@pytest.mark.parametrize("size", [1e-25, 1.0, 40.0, 1e25])
def test_known_angles_whatever_the_length(size):
    degrees = [0.0, 0.001, 1.0, 11.0, 45.0, 90.0, 150.0, 179.9, 180.0]
    prediction, target, _ = turned(degrees)
    angles = angles_between(prediction * size, target).flatten()
    assert angles.tolist() == pytest.approx(degrees, abs=2e-4)


def test_prediction_of_nothing_is_off_by_a_right_angle():
    _, target, _ = turned([0.0, 0.0])
    torch.testing.assert_close(angles_between(torch.zeros_like(target), target), torch.full((1, 1, 1, 2), 90.0))


def test_by_hand():
    # 11.25 itself is not under 11.25 (a hair above, to be clear of rounding); the median is the mean of 11.26 and 25.
    scores = scores_of(*turned([5.0, 11.26, 25.0, 60.0]))
    expected = {
        "mean": (5 + 11.26 + 25 + 60) / 4,
        "median": (11.26 + 25) / 2,
        "rmse": ((25 + 11.26**2 + 625 + 3600) / 4) ** 0.5,
        "11.25": 0.25,
        "22.5": 0.5,
        "30": 0.75,
    }
    assert list(scores) == NAMES
    assert scores == pytest.approx(expected, rel=1e-4)


def test_means_over_images_with_masks():
    prediction, target = torch.randn(4, 3, 6, 7), F.normalize(torch.randn(4, 3, 6, 7), dim=1)
    mask = torch.rand(4, 1, 6, 7) > 0.4
    mask[1] = False
    rows = []
    for i in (0, 2, 3):
        p, t = (v[i].permute(1, 2, 0)[mask[i, 0]].double().numpy() for v in (prediction, target))
        cosine = (p * t).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(t, axis=1)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        shares = [(angle < limit).mean() for limit in (11.25, 22.5, 30)]
        rows.append([angle.mean(), np.median(angle), (angle**2).mean() ** 0.5, *shares])
    expected = dict(zip(NAMES, np.mean(rows, axis=0), strict=True))
    assert scores_of(prediction, target, mask) == pytest.approx(expected, rel=1e-5)


def test_targets_that_are_not_valid_may_hold_anything():
    prediction, target, mask = turned([5.0, 10.0, 20.0])
    mask[..., 2] = False
    expected = scores_of(prediction, target, mask)
    for garbage in (float("nan"), float("inf"), 0.0):
        assert scores_of(prediction, torch.where(mask, target, garbage), mask) == expected


def test_nothing_valid_gives_none():
    prediction, target, mask = turned([5.0, 10.0])
    assert scores_of(prediction, target, mask & False) == dict.fromkeys(NAMES)


def test_leaves_its_input_and_does_not_wait_for_the_device():
    maps = turned([5.0, 10.0, 40.0])
    copies = [value.clone() for value in maps]
    metric = NormalsMetric()
    with ForbidSync():
        metric.update(*maps)
    assert all(torch.equal(a, b) for a, b in zip(maps, copies, strict=True))
