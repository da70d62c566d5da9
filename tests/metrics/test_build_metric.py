"""From the loss section to the metric of a task."""

import pytest

from metrics.build import build_metric
from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric
from metrics.semseg import SemsegMetric
from utils.config.schema.loss import LossConfig


def build(task: str, name: str, *, kwargs: dict | None = None, **options):
    loss = LossConfig.model_validate({"tasks": {task: {"loss": name, "kwargs": kwargs or {}}}})
    return build_metric(task, loss.tasks[task], class_names=("road", "car"), **options)


def limits(metric: DepthMetric) -> tuple[float, float]:
    return metric.min_depth, metric.max_depth


def test_type_by_task():
    assert isinstance(build("semseg", "cross_entropy"), SemsegMetric)
    assert isinstance(build("normals", "gt_normals"), NormalsMetric)
    assert isinstance(build("edges", "edges"), EdgesMetric)


def test_semseg_has_names_and_subsets():
    metric = build("semseg", "cross_entropy", subsets={"1": (0,)})
    assert metric.class_names == ("road", "car") and metric.subsets == {"1": (0,)}


def test_depth_scales_by_the_median_unless_told_otherwise():
    assert build("depth", "berhu").median_scaling is True
    assert build("depth", "berhu", kwargs={"median_scaling": False}).median_scaling is False
    assert build("depth", "berhu", kwargs={"median_scaling": True}, median_scaling=False).median_scaling is False


def test_depth_limits():
    assert limits(build("depth", "berhu")) == (1e-3, 80.0)
    assert limits(build("depth", "L1_depth", kwargs={"min_depth": 0.5, "max_depth": 10.0})) == (0.5, 10.0)


def test_video_depth_is_measured_within_its_test_limits_not_those_of_the_disparity():
    kwargs = {"min_depth": 0.1, "max_depth": 100.0}
    assert limits(build("disp", "ssde", kwargs=kwargs)) == (1e-3, 80.0)
    kwargs |= {"test_min_depth": 0.01, "test_max_depth": 60.0}
    assert limits(build("disp", "ssde", kwargs=kwargs)) == (0.01, 60.0)


def test_unknown_task():
    loss = LossConfig.model_validate({"tasks": {"edges": {"loss": "edges"}}})
    with pytest.raises(ValueError, match="no metric is defined for the task 'flow'"):
        build_metric("flow", loss.tasks["edges"], class_names=())
