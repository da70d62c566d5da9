"""Builds the supervised losses from the `loss` section of the config."""

from loss.base import TaskLoss
from loss.depth import BerhuLoss, L1DepthLoss
from loss.edges import EdgesLoss
from loss.multitask import MultiTaskLoss, SupervisedTask
from loss.normals import NormalsLoss, StoredNormalsLoss
from loss.semseg import CrossEntropyLoss
from utils.config.schema import LossConfig, TaskLossConfig

# Learned from video without labels; `loss/build_video.py` builds it.
PHOTOMETRIC = "ssde"


def build_loss(loss: LossConfig) -> MultiTaskLoss:
    """The supervised losses of all tasks but the one learned from video.

    Raises:
        ValueError: a value is out of range (named).
    """
    tasks = {}
    for name, section in loss.tasks.items():
        if section.name != PHOTOMETRIC:
            weights = {scale: section.weight_of(scale) for scale in section.scales}
            tasks[name] = SupervisedTask(_task_loss(section), weights)
    return MultiTaskLoss(tasks=tasks)


def _task_loss(section: TaskLossConfig) -> TaskLoss:
    """The loss of one task, without its scales and weights."""
    match section.name:
        case "cross_entropy":
            return CrossEntropyLoss()
        case "berhu":
            return BerhuLoss()
        case "L1_depth":
            return L1DepthLoss()
        case "normals":
            return NormalsLoss(from_inverse_depth=bool(section.kwargs.from_inverse_depth))
        case "gt_normals":
            return StoredNormalsLoss()
        case "edges":
            pos_weight = section.kwargs.pos_weight
            return EdgesLoss() if pos_weight is None else EdgesLoss(pos_weight=pos_weight)
    raise ValueError(f"{section.name!r} is not a supervised loss")
