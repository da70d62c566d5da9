"""Builds a task's metric from its part of the `loss` section of the config."""

from collections.abc import Mapping, Sequence

from metrics.depth import DepthMetric
from metrics.edges import EdgesMetric
from metrics.normals import NormalsMetric
from metrics.semseg import SemsegMetric
from utils.config.schema import TaskLossConfig
from utils.constants import MAX_DEPTH, MIN_DEPTH


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
    kwargs = loss.kwargs
    # The photometric loss has depth limits of its own, those of the disparity.
    is_video = loss.name == "ssde"
    smallest, largest = (
        (kwargs.test_min_depth, kwargs.test_max_depth) if is_video else (kwargs.min_depth, kwargs.max_depth)
    )
    if median_scaling is None:
        median_scaling = kwargs.median_scaling is not False
    return DepthMetric(
        median_scaling=median_scaling,
        min_depth=MIN_DEPTH if smallest is None else smallest,
        max_depth=MAX_DEPTH if largest is None else largest,
    )
