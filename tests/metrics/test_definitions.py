"""The few hand-computed scores that pin a definition, and what constructors refuse."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from metrics.base import Metric, masked_median
from metrics.confusion import confusion_matrix
from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric, angles_between
from metrics.semseg import SemsegMetric

NAMES = ("road", "wall", "car", "sky")


def scores_of(metric: Metric, *images: torch.Tensor) -> dict:
    metric.update(*images)
    return metric.compute()


# --- segmentation and edges ---


def test_ious_with_an_absent_class_and_means_over_subsets():
    target = torch.tensor([[[0, 0, 0, 1, 1, 250, 250]]])
    prediction = torch.tensor([[[0, 0, 1, 1, 2, 3, 0]]])
    # road: 2 of 3; wall: 1 of 3; car: never true, predicted once; sky: predicted on an ignored pixel only.
    assert scores_of(SemsegMetric(class_names=NAMES, subsets={"2": (0, 1), "sky": (3,)}), prediction, target) == {
        "mIoU": pytest.approx((2 / 3 + 1 / 3 + 0) / 3),
        "Acc": pytest.approx(3 / 5),
        "mIoU_2": pytest.approx(0.5),  # the pixel of "car" still counts as a miss of "wall"
        "mIoU_sky": None,
        "IoU": {"road": pytest.approx(2 / 3), "wall": pytest.approx(1 / 3), "car": 0.0, "sky": None},
    }


def test_confusion_matrix_has_truth_in_rows_and_counts_no_other_labels():
    logits, target = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    counts = confusion_matrix(logits, target, 4)
    assert counts.dtype == torch.int64 and torch.equal(confusion_matrix(logits.argmax(1), target, 4), counts)
    ids = torch.tensor([[[1, 1, 0, 0, 0, 0, 0]]])
    assert confusion_matrix(ids, torch.tensor([[[0, 0, 1, 250, 255, -1, 2]]]), 2).tolist() == [[0, 2], [1, 0]]


def test_f1_of_edges_over_the_set_and_of_an_absent_class():
    # tp 1, fp 2, fn 1, tn 4: 2 / 5 for edges, 8 / 11 for the rest.
    target = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]]])
    prediction = torch.tensor([[[1, 0, 1, 1]], [[0, 0, 0, 0]]])
    expected = {"F1": (2 / 5 + 8 / 11) / 2, "F1_edge": 2 / 5, "F1_no_edge": 8 / 11}
    assert scores_of(EdgesMetric(), prediction, target) == pytest.approx(expected)
    zeros = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert scores_of(EdgesMetric(), zeros, zeros) == {"F1": 1.0, "F1_edge": None, "F1_no_edge": 1.0}


# --- depth ---


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def depth_scores(prediction: torch.Tensor, target: torch.Tensor, **kwargs: float) -> dict:
    return scores_of(DepthMetric(**kwargs), prediction, target, torch.ones_like(target, dtype=torch.bool))


def test_depth_by_hand():
    # Factors 1.2, 2, 1; the last is out of range.
    assert depth_scores(row(2.4, 8.0, 10.0, 1.0), row(2.0, 4.0, 10.0, 500.0)) == pytest.approx(
        {
            "rmse": ((0.16 + 16) / 3) ** 0.5,
            "abs_rel": (0.2 + 1) / 3,
            "sq_rel": (0.16 / 2 + 16 / 4) / 3,
            "a1": 2 / 3,
            "a2": 2 / 3,
            "a3": 2 / 3,
        },
        rel=1e-6,
    )


def test_prediction_is_clamped_and_scaling_comes_first():
    target = row(70.0, 70.0)
    assert depth_scores(target * 100, target)["rmse"] == pytest.approx(10.0)
    assert depth_scores(target * 100, target, median_scaling=True)["rmse"] == pytest.approx(0.0, abs=1e-4)
    # Neither a prediction of nothing nor one below zero may be infinitely wrong.
    assert depth_scores(target * 0 - 3, target)["abs_rel"] == pytest.approx(1.0, rel=1e-4)


def test_limits_of_the_truth():
    assert depth_scores(row(5.0, 5.0), row(5.0, 20.0), max_depth=20.0)["rmse"] == 0.0  # 20 itself is outside
    assert depth_scores(row(5.0, 5.0), row(5.0, 20.0), max_depth=20.1)["rmse"] > 0


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
def test_median_is_numpys(count: int):
    values, mask = torch.randn(3, 12), torch.zeros(3, 12, dtype=torch.bool)
    for kept in mask:
        kept[torch.randperm(12)[:count]] = True
    expected = [np.median(own[kept].numpy()) if count else np.nan for own, kept in zip(values, mask, strict=True)]
    assert masked_median(values, mask).tolist() == pytest.approx(expected, nan_ok=True)


# --- normals ---


def turned(degrees: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """(prediction, target) of one image, one row: each prediction is its target turned by so many degrees."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(len(degrees), 3))
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    across = np.cross(target, rng.normal(size=target.shape))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    prediction = Rotation.from_rotvec(across * np.radians(degrees)[:, None]).apply(target)
    maps = [torch.from_numpy(v.T.copy()).float().view(1, 3, 1, -1) for v in (prediction, target)]
    return maps[0], maps[1]


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_known_angles_whatever_the_length(size: float):
    degrees = [0.0, 0.001, 1.0, 11.0, 45.0, 90.0, 150.0, 179.9, 180.0]
    prediction, target = turned(degrees)
    assert angles_between(prediction * size, target).flatten().tolist() == pytest.approx(degrees, abs=2e-4)
    assert (angles_between(0 * prediction, target) == 90).all()


def test_normals_by_hand():
    # 11.25 itself is not under 11.25 (a hair above, to be clear of rounding); the median is the mean of 11.26 and 25.
    mask = torch.ones(1, 1, 1, 4, dtype=torch.bool)
    assert scores_of(NormalsMetric(), *turned([5.0, 11.26, 25.0, 60.0]), mask) == pytest.approx(
        {
            "mean": (5 + 11.26 + 25 + 60) / 4,
            "median": (11.26 + 25) / 2,
            "rmse": ((25 + 11.26**2 + 625 + 3600) / 4) ** 0.5,
            "11.25": 0.25,
            "22.5": 0.5,
            "30": 0.75,
        },
        rel=1e-4,
    )
