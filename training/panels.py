"""Panels: an image, its ground truth and what the network says, side by side with the same colours and ranges."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from training.tasks import Task
from utils.visualize import Captioned, color_image, panel


def sample_panels(
    tasks: Mapping[str, Task], batch: Mapping[str, Any], decoded: Mapping[str, Tensor], wanted: int
) -> list[np.ndarray]:
    """Panels of the first `wanted` samples of a batch: one row of ground truth, black where there is none, one of
    predictions.

    Args:
        tasks: The tasks.
        batch: A collated sample (the table in `dataset/base.py`).
        decoded: Predictions [B, C, H, W] as `Task.decode` gives them.
        wanted: How many, at most.
    """
    truths = {name: task.truth(batch) if task.label in batch else None for name, task in tasks.items()}
    return [_panel(tasks, batch, decoded, truths, index) for index in range(min(wanted, len(batch["image"])))]


def _panel(
    tasks: Mapping[str, Task],
    batch: Mapping[str, Any],
    decoded: Mapping[str, Tensor],
    truths: Mapping[str, tuple[Tensor, ...] | None],
    index: int,
) -> np.ndarray:
    image = color_image(_numpy(batch["image"][index]))
    rows: tuple[list[Captioned], list[Captioned]] = ([("image", image)], [("image", image)])
    for name, values in decoded.items():
        maps = truths[name]
        truth = None if maps is None else tuple(_numpy(part[index]) for part in maps)
        known, predicted = tasks[name].pictures(_numpy(values[index]), truth)
        rows[0].append((tasks[name].caption, np.zeros_like(image) if known is None else known))
        rows[1].append((tasks[name].caption, predicted))
    return panel(rows, titles=["ground truth", "prediction"])


def _numpy(tensor: Tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()
