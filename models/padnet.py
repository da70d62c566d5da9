"""PAD-Net: predict every task, let the tasks' features guide each other, predict again.

"PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network for Simultaneous Depth Estimation and Scene Parsing"
(Xu et al., CVPR 2018), a baseline of Lopes et al., WACV 2023, sec. 4. Source of this form of it:
Multi-Task-Learning-PyTorch (Simon Vandenhende).
"""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.distillation import distillation
from models.encoder import Encoder
from models.network import Head, MultiTaskNetwork, Predictions
from vendor.mtlpt.padnet import two_bottlenecks

CHANNELS = 256  # of the tasks' features
INITIAL, FINAL = 2, 0  # scale names of the two predictions


class PADNetHead(Head):
    """The modules of one task: the first prediction and, unless it is auxiliary, the second.

    Args:
        auxiliary: the task is only predicted first, to guide the others.
        is_regression: predictions pass a sigmoid (disparity).
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, auxiliary: bool = False, is_regression: bool = False
    ) -> None:
        super().__init__()
        self.auxiliary = auxiliary
        self.active_scales = (INITIAL,) if auxiliary else (INITIAL, FINAL)
        self.initial = two_bottlenecks(in_channels=in_channels, channels=CHANNELS)
        self.predict_initial = _prediction(out_channels, is_regression)
        if not auxiliary:
            self.refine = two_bottlenecks(in_channels=CHANNELS, channels=CHANNELS)
            self.predict_final = _prediction(out_channels, is_regression)

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return [self.predict_initial] if self.auxiliary else [self.predict_initial, self.predict_final]


def _prediction(out_channels: int, is_regression: bool) -> nn.Sequential:
    conv = nn.Conv2d(CHANNELS, out_channels, kernel_size=1)
    return nn.Sequential(conv, nn.Sigmoid()) if is_regression else nn.Sequential(conv)


class PADNet(MultiTaskNetwork[PADNetHead]):
    """Encoder, initial predictions, distillation between the tasks, final predictions."""

    def __init__(self, *, backbone: Encoder, heads: Mapping[str, PADNetHead]) -> None:
        finals = [task for task, head in heads.items() if not head.auxiliary]
        exchange = distillation(tasks=tuple(heads), targets=finals, channels=CHANNELS)
        super().__init__(backbone=backbone, heads=heads, exchanges={"0": exchange})

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """{task: {2: [B,C,h,w] at the last feature's size, 0: [B,C,H,W]}}; an auxiliary task has scale 2 only."""
        # Initial task predictions
        initial = {task: head.initial(features[-1]) for task, head in self.heads.items()}  # [B,256,h,w] each
        predictions = {task: {INITIAL: head.predict_initial(initial[task])} for task, head in self.heads.items()}

        # Distillation: every other task adds what its attention lets through
        distilled = self.exchanges["0"](initial)  # [B,256,h,w] each

        # Final predictions
        for task, feature in distilled.items():
            head = self.heads[task]
            prediction = head.predict_final(head.refine(feature))
            predictions[task][FINAL] = F.interpolate(prediction, size=tuple(size), mode="bilinear", align_corners=False)
        return predictions
