"""Scores of semantic segmentation: intersection over union and pixel accuracy."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metrics.base import Metric, known_mean, ratio
from metrics.confusion import confusion_matrix


class SemsegMetric(Metric):
    """One confusion matrix over the whole set.

    Args:
        class_names: Names by train id.
        subsets: Train ids over which a further mean is reported, by the suffix of its name: {"13": ids} gives
            "mIoU_13". The IoUs are those of all classes, as domain adaptation papers report both means of one run.
    """

    def __init__(self, *, class_names: Sequence[str], subsets: Mapping[str, Sequence[int]] | None = None) -> None:
        self.class_names = tuple(class_names)
        self.subsets = {name: tuple(ids) for name, ids in (subsets or {}).items()}
        super().__init__([torch.zeros(len(class_names), len(class_names), dtype=torch.int64)])

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch: logits [B, C, H, W] or train ids [B, H, W]; int64 train ids [B, H, W], those of no class (the
        ignore label) are not counted.
        """
        self._state[0] += confusion_matrix(prediction, target, len(self.class_names))

    def compute(self) -> dict:
        """{"mIoU", "Acc", "IoU": {class: value}, and "mIoU_<subset>"} as fractions in 0..1.

        A class that is neither in the labels nor among the predictions for labelled pixels has IoU None and is left
        out of the means; without any labelled pixel everything is None.
        """
        counts = self._state[0].cpu()
        hits = counts.diagonal()
        unions = counts.sum(0) + counts.sum(1) - hits
        ious = [ratio(hit, union) for hit, union in zip(hits.tolist(), unions.tolist(), strict=True)]
        scores: dict = {"mIoU": known_mean(ious), "Acc": ratio(hits.sum().item(), counts.sum().item())}
        for name, ids in self.subsets.items():
            scores[f"mIoU_{name}"] = known_mean([ious[i] for i in ids])
        return scores | {"IoU": dict(zip(self.class_names, ious, strict=True))}
