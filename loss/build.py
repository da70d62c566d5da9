"""Builds the losses from the part `setup.loss` of the config."""

from collections.abc import Sequence

from loss.base import TaskLoss
from loss.depth import BerhuLoss, L1DepthLoss
from loss.edges import EdgesLoss
from loss.multitask import MultiTaskLoss
from loss.normals import NormalsLoss, StoredNormalsLoss
from loss.photometric import PhotometricLoss
from loss.semseg import CrossEntropyLoss
from utils.config.schema.loss import (
    Berhu,
    CrossEntropy,
    Edges,
    L1Depth,
    LossConfig,
    Normals,
    Photometric,
    StoredNormals,
    SupervisedConfig,
)


def build_loss(loss: LossConfig) -> MultiTaskLoss:
    """The supervised losses of all tasks but the one learned from video."""
    sections = loss.supervised.items()
    return MultiTaskLoss(
        losses={task: build_task_loss(section) for task, section in sections},
        weights={task: section.kwargs.weights for task, section in sections},
    )


def build_photometric(section: Photometric, frame_ids: Sequence[int]) -> PhotometricLoss:
    """The loss of the task learned from video, over the sample's frames (`data.frame_ids`) unless it names its own."""
    kwargs = section.kwargs
    return PhotometricLoss(
        weights=kwargs.weights,
        offsets=tuple(offset for offset in kwargs.frame_ids or frame_ids if offset != 0),
        min_depth=kwargs.min_depth,
        max_depth=kwargs.max_depth,
        smoothness=kwargs.disparity_smoothness,
        use_ssim=not kwargs.no_ssim,
        automask=not kwargs.disable_automasking,
        average=kwargs.avg_reprojection,
    )


def build_task_loss(section: SupervisedConfig) -> TaskLoss:
    """The loss of one task, without its scales and weights."""
    match section:
        case CrossEntropy():
            return CrossEntropyLoss()
        case Berhu():
            return BerhuLoss()
        case L1Depth():
            return L1DepthLoss()
        case Normals(kwargs=kwargs):
            return NormalsLoss(from_inverse_depth=kwargs.from_inverse_depth)
        case StoredNormals():
            return StoredNormalsLoss()
        case Edges(kwargs=kwargs):
            return EdgesLoss(pos_weight=kwargs.pos_weight)
