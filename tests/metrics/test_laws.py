"""What holds for every metric: right by another's count, whatever the batching. A new metric is a line of `METRICS`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from metrics.base import Metric
from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric
from metrics.semseg import SemsegMetric
from tests.helpers.forbid_sync import ForbidSync
from utils.constants import IGNORE_INDEX

Images = tuple[Tensor, ...]  # the arguments of `update`
Scores = dict[str, float | None]
IMAGES, HEIGHT, WIDTH, CLASSES = 7, 8, 9, 3
NAMES = ("road", "wall", "car")


def labels(classes: int) -> Images:
    """(logits, labels); a fifth of the pixels and the whole last image without."""
    target = torch.randint(0, classes, (IMAGES, HEIGHT, WIDTH))
    logits = torch.randn(IMAGES, classes, HEIGHT, WIDTH) + 2 * F.one_hot(target, classes).movedim(-1, 1)
    return logits, target.masked_fill(~mask()[:, 0], IGNORE_INDEX)


def mask() -> Tensor:
    valid = torch.rand(IMAGES, 1, HEIGHT, WIDTH) > 0.2
    valid[-1] = False
    return valid


def depths() -> Images:
    """(prediction, target, mask), some of the truth beyond 80 m and below 1 mm."""
    target = torch.rand(IMAGES, 1, HEIGHT, WIDTH) * 100
    target[:, :, 0, 0] = 5e-4
    return 3 * target * (1 + 0.4 * torch.randn_like(target)).clamp(0.1), target, mask()


def normals() -> Images:
    shape = (IMAGES, 3, HEIGHT, WIDTH)
    return 3 * torch.randn(shape), F.normalize(torch.randn(shape), dim=1), mask()


def semseg_oracle(logits: Tensor, target: Tensor) -> Scores:
    ious = MulticlassJaccardIndex(CLASSES, average="none", ignore_index=IGNORE_INDEX)(logits, target)
    accuracy = MulticlassAccuracy(CLASSES, average="micro", ignore_index=IGNORE_INDEX)(logits, target)
    means = {"mIoU": ious.mean().item(), "Acc": accuracy.item(), "mIoU_2": ious[[0, 2]].mean().item()}
    return means | dict(zip(NAMES, ious.tolist(), strict=True))


def edges_oracle(logits: Tensor, target: Tensor) -> Scores:
    no_edge, edge = MulticlassF1Score(2, average="none", ignore_index=IGNORE_INDEX)(logits, target).tolist()
    return {"F1": (edge + no_edge) / 2, "F1_edge": edge, "F1_no_edge": no_edge}


def over_images(names: list[str], rows: list[list[float]]) -> dict[str, float]:
    return dict(zip(names, np.mean(rows, axis=0), strict=True))


def depth_oracle(median_scaling: bool) -> Callable[..., Scores]:
    def scores(prediction: Tensor, target: Tensor, mask: Tensor) -> Scores:
        rows = []
        for image, truth, measured in zip(prediction.double(), target.double(), mask, strict=True):
            valid = (measured & (truth > 1e-3) & (truth < 80)).numpy()
            if valid.any():
                p, t = image.numpy()[valid], truth.numpy()[valid]
                p = np.clip(p * np.median(t) / np.median(p) if median_scaling else p, 1e-3, 80)
                shares = [(np.maximum(p / t, t / p) < 1.25**k).mean() for k in (1, 2, 3)]
                rows.append([((p - t) ** 2).mean(), (abs(p - t) / t).mean(), ((p - t) ** 2 / t).mean(), *shares])
        means = over_images(["rmse", "abs_rel", "sq_rel", "a1", "a2", "a3"], rows)
        return means | {"rmse": means["rmse"] ** 0.5}  # the root of the mean over images

    return scores


def normals_oracle(prediction: Tensor, target: Tensor, mask: Tensor) -> Scores:
    rows = []
    for i in mask.flatten(1).any(1).nonzero().flatten():
        p, t = (value[i].permute(1, 2, 0)[mask[i, 0]].double().numpy() for value in (prediction, target))
        cosine = (p * t).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(t, axis=1)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        shares = [(angle < limit).mean() for limit in (11.25, 22.5, 30)]
        rows.append([angle.mean(), np.median(angle), (angle**2).mean() ** 0.5, *shares])
    return over_images(["mean", "median", "rmse", "11.25", "22.5", "30"], rows)


@dataclass(frozen=True)
class Case:
    make: Callable[[], Metric]
    images: Callable[[], Images]
    oracle: Callable[..., Scores]

    def measured(self, images: Images, *parts: slice) -> Metric:
        metric = self.make()
        for part in parts or [slice(None)]:
            metric.update(*(value[part] for value in images))
        return metric


METRICS = {
    "semseg": Case(
        lambda: SemsegMetric(class_names=NAMES, subsets={"2": (0, 2)}), lambda: labels(CLASSES), semseg_oracle
    ),
    "edges": Case(EdgesMetric, lambda: labels(2), edges_oracle),
    "depth": Case(DepthMetric, depths, depth_oracle(False)),
    "depth up to scale": Case(lambda: DepthMetric(median_scaling=True), depths, depth_oracle(True)),
    "normals": Case(NormalsMetric, normals, normals_oracle),
}


@pytest.fixture(params=METRICS)
def case(request: pytest.FixtureRequest) -> Case:
    return METRICS[request.param]


@pytest.fixture
def images(case: Case) -> Images:
    return case.images()


def scores_of(metric: Metric) -> Scores:
    """The scores, the IoU by class among them, flat."""
    scores = metric.compute()
    return scores | scores.pop("IoU", {})


def approx(scores: Scores, rel: float = 1e-6) -> Scores:
    return {name: pytest.approx(value, rel=rel) for name, value in scores.items()}


def test_equals_an_independent_computation(case: Case, images: Images):
    scores = scores_of(case.measured(images))
    assert scores == approx(case.oracle(*images), rel=1e-5)
    if case.oracle is not semseg_oracle:  # whose IoU by class are compared with the rest
        assert list(scores) == list(case.oracle(*images))


def test_neither_the_order_of_images_nor_batching_matters(case: Case, images: Images):
    whole = scores_of(case.measured(images))
    assert scores_of(case.measured(tuple(value.flip(0) for value in images))) == approx(whole)
    assert scores_of(case.measured(images, *(slice(i, i + 1) for i in range(IMAGES)))) == approx(whole)
    assert all(isinstance(value, float) for value in scores_of(case.measured(images, slice(0, 1))).values())


def test_states_of_shards_add_up_to_the_whole(case: Case, images: Images):
    whole = scores_of(case.measured(images))
    first, second = (case.measured(images, part) for part in (slice(0, 3), slice(3, None)))
    assert all(value.dtype in (torch.float64, torch.int64) for value in first.state())
    for mine, other in zip(first.state(), second.state(), strict=True):
        mine += other  # in place, as an all-reduce does
    assert scores_of(first) == approx(whole)


def test_reset_forgets_everything_and_computing_nothing(case: Case, images: Images):
    metric = case.measured(images)
    assert metric.compute() == metric.compute()
    metric.reset()
    assert set(scores_of(metric).values()) == {None}
    metric.update(*images)
    assert metric.compute() == case.measured(images).compute()


def test_images_without_a_valid_pixel_have_no_scores(case: Case, images: Images):
    assert set(scores_of(case.measured(images, slice(IMAGES - 1, None))).values()) == {None}


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 0.0, -5.0])
def test_what_is_not_measured_may_hold_anything(case: Case, images: Images, garbage: float):
    prediction, target, *valid = images
    if valid:
        spoiled = target.where(valid[0], garbage)
    else:
        spoiled = torch.where(target == IGNORE_INDEX, 255 if garbage == 0 else -1, target)
    assert case.measured((prediction, spoiled, *valid)).compute() == case.measured(images).compute()


def test_never_waits_for_the_device_nor_changes_its_input_also_in_inference_mode(case: Case, images: Images):
    copies = [value.clone() for value in images]
    metric = case.make()
    with torch.inference_mode(), ForbidSync():
        metric.update(*images)
    metric.update(*images)
    assert metric.compute() == case.measured(images, slice(None), slice(None)).compute()
    assert all(torch.equal(a, b) for a, b in zip(images, copies, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_does_not_wait_for_a_real_gpu_and_counts_the_same_there(case: Case, images: Images):
    metric = case.make().to("cuda")
    on_device = [value.cuda() for value in images]
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.update(*on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert scores_of(metric) == approx(scores_of(case.measured(images)), rel=1e-5)


def test_moves_its_accumulators(case: Case):
    assert {value.device.type for value in case.make().to("meta").state()} == {"meta"}
