"""Builds a task's metric from its part of `setup.loss` in the config."""

from collections.abc import Mapping, Sequence

from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric
from metrics.semseg import SemsegMetric
from utils.config.schema.loss import DepthKwargs, TaskLossConfig


def build_metric(
    task: str,
    loss: TaskLossConfig,
    *,
    class_names: Sequence[str],
    subsets: Mapping[str, Sequence[int]] | None = None,
    median_scaling: bool | None = None,
) -> SemsegMetric | DepthMetric | NormalsMetric | EdgesMetric:
    """The metric of one task at one scale.

    Args:
        task: Name of the task.
        loss: The task's loss section, whose kwargs hold the depth limits and whether to scale by the median.
        class_names: Names of the dataset's classes by train id; for semseg.
        subsets: See `SemsegMetric`.
        median_scaling: Overrules the config's, to report depth both ways.

    Raises:
        ValueError: a task without a metric, or a value out of range (named).
    """
    match task:
        case "semseg":
            return SemsegMetric(class_names=class_names, subsets=subsets)
        case "depth" | "disp":
            return _depth_metric(loss, median_scaling)
        case "normals":
            return NormalsMetric()
        case "edges":
            return EdgesMetric()
    raise ValueError(f"no metric is defined for the task {task!r}")


def _depth_metric(loss: TaskLossConfig, median_scaling: bool | None) -> DepthMetric:
    if not isinstance(loss.kwargs, DepthKwargs):
        raise ValueError(f"the loss {loss.loss!r} is none of depth")
    nearest, farthest = loss.kwargs.measured_range
    return DepthMetric(
        median_scaling=loss.kwargs.median_scaling if median_scaling is None else median_scaling,
        min_depth=nearest,
        max_depth=farthest,
    )
