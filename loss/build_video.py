"""Builds the photometric loss from its section of the config."""

from collections.abc import Sequence

from loss.photometric import PhotometricLoss
from utils.config.schema import LossConfig
from utils.errors import UserError


def build_photometric(loss: LossConfig, frame_ids: Sequence[int]) -> PhotometricLoss:
    """The photometric loss of the one task whose loss is `ssde`.

    Args:
        loss: the loss section.
        frame_ids: offsets of the frames in a sample (`data.frame_ids`), all used unless the loss names its own.

    Raises:
        UserError: no task, or several, have the loss `ssde`; the loss wants frames that are not loaded.
        ValueError: a value is out of range (named).
    """
    tasks = [task for task, section in loss.tasks.items() if section.name == "ssde"]
    if len(tasks) != 1:
        raise UserError(f"loss.tasks: depth from video needs exactly one task with the loss 'ssde', got {tasks}")
    section = loss.tasks[tasks[0]]
    kwargs = section.kwargs
    offsets = [offset for offset in kwargs.frame_ids or frame_ids if offset != 0]
    missing = [offset for offset in offsets if offset not in frame_ids]
    if missing or not offsets:
        raise UserError(
            f"loss.tasks.{tasks[0]}.kwargs.frame_ids: needs at least one neighbour, all of them among data.frame_ids "
            f"{list(frame_ids)}; got {offsets}"
        )
    optional = {
        "min_depth": kwargs.min_depth,
        "max_depth": kwargs.max_depth,
        "smoothness": kwargs.disparity_smoothness,
    }
    return PhotometricLoss(
        weights={scale: section.weight_of(scale) for scale in section.scales},
        offsets=offsets,
        use_ssim=not kwargs.no_ssim,
        automask=not kwargs.disable_automasking,
        average=bool(kwargs.avg_reprojection),
        **{name: value for name, value in optional.items() if value is not None},
    )
