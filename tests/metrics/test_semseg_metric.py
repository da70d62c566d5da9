"""Segmentation scores against torchmetrics and hand-computed cases."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from metrics.confusion import confusion_matrix
from metrics.semseg import SemsegMetric
from tests.helpers.forbid_sync import ForbidSync

NAMES = ("road", "wall", "car", "sky")


def metric_of(prediction: torch.Tensor, target: torch.Tensor, **kwargs) -> dict:
    metric = SemsegMetric(class_names=NAMES, **kwargs)
    metric.update(prediction, target)
    return metric.compute()


@pytest.fixture
def labels() -> tuple[torch.Tensor, torch.Tensor]:
    """(logits [6, 4, 9, 11], labels with a fifth of them ignored)."""
    target = torch.randint(0, 4, (6, 9, 11))
    logits = torch.randn(6, 4, 9, 11) + 2 * torch.nn.functional.one_hot(target, 4).permute(0, 3, 1, 2)
    target[torch.rand(6, 9, 11) < 0.2] = 250
    return logits, target


def test_equals_torchmetrics_with_ignored_pixels(labels):
    logits, target = labels
    scores = metric_of(logits, target)
    ious = MulticlassJaccardIndex(4, average="none", ignore_index=250)(logits, target)
    accuracy = MulticlassAccuracy(4, average="micro", ignore_index=250)(logits, target)
    assert list(scores["IoU"]) == list(NAMES)
    assert list(scores["IoU"].values()) == pytest.approx(ious.tolist())
    assert scores["mIoU"] == pytest.approx(ious.mean().item())
    assert scores["Acc"] == pytest.approx(accuracy.item())


def test_by_hand_with_an_absent_class():
    target = torch.tensor([[[0, 0, 0, 1, 1, 250, 250]]])
    prediction = torch.tensor([[[0, 0, 1, 1, 2, 3, 0]]])
    scores = metric_of(prediction, target)
    # road: 2 of 3; wall: 1 of 3; car: never true, predicted once; sky: predicted on an ignored pixel only.
    assert scores["IoU"] == {"road": pytest.approx(2 / 3), "wall": pytest.approx(1 / 3), "car": 0.0, "sky": None}
    assert scores["mIoU"] == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert scores["Acc"] == pytest.approx(3 / 5)


def test_subset_is_a_mean_of_the_same_ious():
    target = torch.tensor([[[0, 0, 1, 1, 2]]])
    prediction = torch.tensor([[[0, 1, 1, 1, 0]]])
    scores = metric_of(prediction, target, subsets={"2": (0, 1), "sky": (3,)})
    assert scores["IoU"] == {"road": pytest.approx(1 / 3), "wall": pytest.approx(2 / 3), "car": 0.0, "sky": None}
    assert scores["mIoU_2"] == pytest.approx(0.5)  # pixels of "car" still count as misses of "road"
    assert scores["mIoU"] == pytest.approx(1 / 3)
    assert scores["mIoU_sky"] is None


@pytest.mark.parametrize("ignored", [250, 255, -1, 4])
def test_labels_of_no_class_are_not_counted(ignored):
    target = torch.full((1, 3, 3), ignored)
    target[0, 0, 0] = 2
    assert confusion_matrix(torch.full((1, 3, 3), 2), target, 4).sum() == 1


def test_nothing_labelled_gives_none():
    scores = metric_of(torch.randn(1, 4, 3, 3), torch.full((1, 3, 3), 250), subsets={"2": (0, 1)})
    assert scores == {"mIoU": None, "Acc": None, "mIoU_2": None, "IoU": dict.fromkeys(NAMES)}


def test_logits_and_their_ids_count_the_same(labels):
    logits, target = labels
    assert torch.equal(confusion_matrix(logits, target, 4), confusion_matrix(logits.argmax(1), target, 4))


def test_confusion_matrix_has_truth_in_rows():
    counts = confusion_matrix(torch.tensor([[[1, 1, 0]]]), torch.tensor([[[0, 0, 1]]]), 2)
    assert counts.tolist() == [[0, 2], [1, 0]] and counts.dtype == torch.int64


def test_does_not_wait_for_the_device(labels):
    metric = SemsegMetric(class_names=NAMES)
    with ForbidSync():
        metric.update(*labels)
