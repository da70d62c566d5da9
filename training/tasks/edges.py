"""Edges."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metrics.base import Metric
from metrics.edges import EdgesMetric
from training.tasks.base import Batch, Maps, Picture, Task
from utils.visualize import color_edges


class Edges(Task):
    """Logits of no edge and edge."""

    caption = "edges"
    headlines = {"F1": False}
    in_percent = True
    label = "edges"

    def decode(self, prediction: Tensor) -> Tensor:
        return prediction

    def metrics(self) -> dict[str, Metric]:
        return {"": EdgesMetric()}

    def pictures(self, value: np.ndarray, truth: Maps | None) -> tuple[Picture | None, Picture]:
        known = None if truth is None else color_edges(truth[0].clip(0, 1))
        return known, color_edges(edge_probability(value))

    def files(self, value: np.ndarray, picture: Picture) -> dict[str, np.ndarray]:
        return {"edges": (edge_probability(value) * 255).round().astype(np.uint8)}

    def summary(self, batch: Batch) -> Tensor:
        return torch.zeros(0)

    def constant(self, summaries: Sequence[Tensor]) -> Tensor:
        return torch.tensor([1.0, 0.0])  # no edge, the majority


def edge_probability(logits: np.ndarray) -> np.ndarray:
    """Probability of an edge [H, W] from the two logits [2, H, W]: softmax of two is the sigmoid of the difference."""
    return 1 / (1 + np.exp(np.clip(logits[0] - logits[1], -80, 80)))
