"""Panels: an image, its ground truth and what the network predicts, side by side with the same colours and ranges."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from dataset.loader import Batch
from training.tasks import Task
from utils.visualize import Captioned, color_image, panel


def sample_panels(
    tasks: Mapping[str, Task], batch: Batch, decoded: Mapping[str, Tensor], n_samples: int, prefix: str
) -> dict[str, np.ndarray]:
    """Panels of the first `n_samples` samples of a batch by name, `<prefix>_<index in the dataset>`.

    Each has a row of ground truth, black where there is none, and a row of predictions, `decoded` [B, C, H, W] in the
    form of `Task.decode`.
    """
    panels: dict[str, np.ndarray] = {}
    if n_samples <= 0:
        return panels
    truths = {name: task.truth(batch) if task.label in batch else None for name, task in tasks.items()}
    for index in range(min(n_samples, len(batch["image"]))):
        image = color_image(to_numpy(batch["image"][index]))
        known: list[Captioned] = [("image", image)]
        predicted: list[Captioned] = [("image", image)]
        for name, values in decoded.items():
            maps = truths[name]
            truth = None if maps is None else tuple(to_numpy(part[index]) for part in maps)
            pictures = tasks[name].pictures(to_numpy(values[index]), truth)
            known.append((tasks[name].caption, np.zeros_like(image) if pictures[0] is None else pictures[0]))
            predicted.append((tasks[name].caption, pictures[1]))
        name = f"{prefix}_{int(batch['index'][index]):05d}"
        panels[name] = panel([known, predicted], titles=["ground truth", "prediction"])
    return panels


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as an array on the host; numpy has no bfloat16, so floating point becomes float32."""
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()
