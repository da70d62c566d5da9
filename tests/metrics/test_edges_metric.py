"""Edge scores against torchmetrics and hand-computed cases."""

import pytest
import torch
from torchmetrics.classification import MulticlassF1Score

from metrics.edges import EdgesMetric
from tests.helpers.forbid_sync import ForbidSync


def scores_of(prediction: torch.Tensor, target: torch.Tensor) -> dict:
    metric = EdgesMetric()
    metric.update(prediction, target)
    return metric.compute()


def test_equals_torchmetrics():
    logits, target = torch.randn(4, 2, 9, 11), (torch.rand(4, 9, 11) < 0.2).long()
    scores = scores_of(logits, target)
    by_class = MulticlassF1Score(2, average="none")(logits, target)
    assert scores["F1"] == pytest.approx(by_class.mean().item())
    assert [scores["F1_no_edge"], scores["F1_edge"]] == pytest.approx(by_class.tolist())


def test_by_hand():
    # tp 1, fp 2, fn 1, tn 4: 2 / 5 for edges, 8 / 11 for the rest.
    target = torch.tensor([[[1, 1, 0, 0, 0, 0, 0, 0]]])
    prediction = torch.tensor([[[1, 0, 1, 1, 0, 0, 0, 0]]])
    scores = scores_of(prediction, target)
    assert scores == pytest.approx({"F1": (2 / 5 + 8 / 11) / 2, "F1_edge": 2 / 5, "F1_no_edge": 8 / 11})


def test_over_the_set_not_over_images():
    metric = EdgesMetric()
    for prediction, target in (([1, 0], [1, 1]), ([0, 0], [0, 0])):
        metric.update(torch.tensor([[prediction]]), torch.tensor([[target]]))
    assert metric.compute()["F1_edge"] == pytest.approx(2 / 3)


def test_absent_class_and_no_data():
    zeros = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert scores_of(zeros, zeros) == {"F1": 1.0, "F1_edge": None, "F1_no_edge": 1.0}
    assert scores_of(zeros, zeros + 250) == {"F1": None, "F1_edge": None, "F1_no_edge": None}


def test_does_not_wait_for_the_device():
    metric = EdgesMetric()
    with ForbidSync():
        metric.update(torch.randn(2, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))
