"""What every metric does with its accumulators: shards add up, nothing depends on how images are batched."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from metrics.base import Metric
from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric
from metrics.semseg import SemsegMetric

IMAGES = 7
MAKERS: dict[str, Callable[[], Metric]] = {
    "semseg": lambda: SemsegMetric(class_names=("a", "b", "c"), subsets={"2": (0, 2)}),
    "depth": lambda: DepthMetric(median_scaling=True),
    "normals": NormalsMetric,
    "edges": EdgesMetric,
}


def images_of(task: str) -> tuple[torch.Tensor, ...]:
    """Arguments of `update` for all images; the last image has no valid pixel."""
    labels = torch.randint(0, 2 if task == "edges" else 3, (IMAGES, 5, 6))
    labels[-1] = 250
    mask = torch.rand(IMAGES, 1, 5, 6) > 0.3
    mask[-1] = False
    return {
        "semseg": (torch.randn(IMAGES, 3, 5, 6), labels),
        "edges": (torch.randn(IMAGES, 2, 5, 6), labels),
        "depth": (torch.rand(IMAGES, 1, 5, 6) * 50 + 1, torch.rand(IMAGES, 1, 5, 6) * 50 + 1, mask),
        "normals": (torch.randn(IMAGES, 3, 5, 6), F.normalize(torch.randn(IMAGES, 3, 5, 6), dim=1), mask),
    }[task]


def measured(task: str, images: tuple[torch.Tensor, ...], *slices: slice) -> Metric:
    metric = MAKERS[task]()
    for part in slices:
        metric.update(*(value[part] for value in images))
    return metric


def flat(scores: dict) -> dict:
    return {
        k: v for key, value in scores.items() for k, v in (value if isinstance(value, dict) else {key: value}).items()
    }


@pytest.mark.parametrize("task", MAKERS)
class TestEveryMetric:
    def test_shards_add_up_to_the_whole(self, task):
        images = images_of(task)
        whole = measured(task, images, slice(None)).compute()
        halves = [measured(task, images, part) for part in (slice(0, 3), slice(3, None))]
        # Adding up in place, as an all-reduce does.
        for mine, other in zip(halves[0].state(), halves[1].state(), strict=True):
            mine += other
        assert flat(halves[0].compute()) == pytest.approx(flat(whole), rel=1e-6)

    def test_image_by_image_is_the_whole(self, task):
        images = images_of(task)
        single = measured(task, images, *(slice(i, i + 1) for i in range(IMAGES)))
        assert flat(single.compute()) == pytest.approx(flat(measured(task, images, slice(None)).compute()), rel=1e-6)

    def test_a_single_image_has_scores(self, task):
        scores = flat(measured(task, images_of(task), slice(0, 1)).compute())
        assert all(isinstance(value, float) for value in scores.values())

    def test_accumulators_are_sums_of_wide_types(self, task):
        assert all(value.dtype in (torch.float64, torch.int64) for value in MAKERS[task]().state())

    def test_reset_forgets_everything(self, task):
        images = images_of(task)
        metric = measured(task, images, slice(None))
        metric.reset()
        assert set(flat(metric.compute()).values()) == {None}
        metric.update(*images)
        assert metric.compute() == measured(task, images, slice(None)).compute()

    def test_computing_twice_changes_nothing(self, task):
        metric = measured(task, images_of(task), slice(None))
        assert metric.compute() == metric.compute()

    def test_works_in_inference_mode(self, task):
        images = images_of(task)
        metric = MAKERS[task]()
        with torch.inference_mode():
            metric.update(*images)
        metric.update(*images)
        assert metric.compute() == measured(task, images, slice(None), slice(None)).compute()

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_does_not_wait_for_a_real_gpu_and_counts_the_same_there(self, task):
        images = images_of(task)
        metric = MAKERS[task]().to("cuda")
        on_device = [value.cuda() for value in images]
        torch.cuda.set_sync_debug_mode("error")
        try:
            metric.update(*on_device)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert flat(metric.compute()) == pytest.approx(flat(measured(task, images, slice(None)).compute()), rel=1e-5)

    def test_moves_its_accumulators(self, task):
        metric = MAKERS[task]().to("meta")
        assert {value.device.type for value in metric.state()} == {"meta"}
