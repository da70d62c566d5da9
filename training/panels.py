"""Panels: an image, its ground truth and what the network says, side by side with the same colours and ranges."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from utils.visualize import (
    Captioned,
    color_depth,
    color_edges,
    color_image,
    color_normals,
    color_semseg,
    depth_limits,
    panel,
)

CAPTIONS = {
    "semseg": "segmentation",
    "depth": "depth",
    "disp": "depth (up to scale)",
    "normals": "normals",
    "edges": "edges",
}


class Painter:
    """Draws decoded predictions (see `training/decode.py`) and ground truth.

    Args:
        class_colors: uint8 [n_classes, 3].
    """

    def __init__(self, class_colors: np.ndarray) -> None:
        self.class_colors = class_colors

    def prediction(self, task: str, value: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
        """Picture of one decoded prediction [C, H, W]; `limits` (near, far) metres for depth."""
        if task == "semseg":
            return color_semseg(value.argmax(0), self.class_colors)
        if task == "edges":
            return color_edges(edge_probability(value))
        if task == "normals":
            return color_normals(value)
        return color_depth(value[0], limits)

    def sample(self, batch: Mapping[str, Tensor], decoded: Mapping[str, Tensor], index: int) -> np.ndarray:
        """Panel of the batch's sample `index`: one row of ground truth, one of predictions."""
        image = color_image(_numpy(batch["image"][index]))
        truth: list[Captioned] = [("image", image)]
        predicted: list[Captioned] = [("image", image)]
        for task, values in decoded.items():
            known, limits = self._truth(task, batch, index)
            value = _numpy(values[index])
            if task == "disp" and limits is not None:
                mask = _numpy(batch["depth_mask"][index])[0]
                value = value * np.median(_numpy(batch["depth"][index])[0][mask]) / np.median(value[0][mask])
            blank = np.zeros_like(image)
            truth.append((CAPTIONS[task], blank if known is None else known))
            predicted.append((CAPTIONS[task], self.prediction(task, value, limits)))
        return panel([truth, predicted], titles=["ground truth", "prediction"])

    def _truth(
        self, task: str, batch: Mapping[str, Tensor], index: int
    ) -> tuple[np.ndarray | None, tuple[float, float] | None]:
        """Picture of the ground truth, where the batch has one, and the depth limits it sets."""
        if task == "semseg" and "semseg" in batch:
            return color_semseg(_numpy(batch["semseg"][index]), self.class_colors), None
        if task == "edges" and "edges" in batch:
            return color_edges(_numpy(batch["edges"][index]).clip(0, 1)), None
        if task == "normals" and "normals" in batch:
            return color_normals(_numpy(batch["normals"][index]), _numpy(batch["normals_mask"][index])[0]), None
        if task in ("depth", "disp") and "depth" in batch:
            depth, mask = _numpy(batch["depth"][index])[0], _numpy(batch["depth_mask"][index])[0]
            limits = depth_limits(depth, mask) if mask.any() else None
            return color_depth(depth, limits, mask), limits
        return None, None


def edge_probability(logits: np.ndarray) -> np.ndarray:
    """Probability of an edge [H, W] from the two logits [2, H, W]: softmax of two is the sigmoid of the difference."""
    return 1 / (1 + np.exp(np.clip(logits[0] - logits[1], -80, 80)))


def _numpy(tensor: Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()
