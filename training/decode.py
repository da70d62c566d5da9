"""From what a network puts out to what people read: full size, metres, unit vectors.

Used alike by validation, panels and predictions, so that a figure and a picture never disagree.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from utils.config.schema.loss import L1Depth, LossConfig, PhotometricKwargs
from utils.geometry import disparity_to_depth, inverse_to_metres, resize

# A network's inverse depth may be zero or negative; this is the far plane of 16 bit centimetres, 655.35 m.
SMALLEST_INVERSE_DEPTH = 1.0


class Decoder:
    """Turns one task's raw prediction into people's units.

    Args:
        depth_in_metres: Whether the depth head was trained on metres rather than on normalised inverse depth.
        disparity_range: (min, max) depth in metres that disparity 1 and 0 stand for.
    """

    def __init__(self, *, depth_in_metres: bool, disparity_range: tuple[float, float]) -> None:
        self.depth_in_metres = depth_in_metres
        self.disparity_range = disparity_range

    def __call__(self, task: str, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize and convert.

        Args:
            task: Name of the task.
            prediction: [B, C, h, w], as the network gave it.
            size: (H, W) of the result.

        Returns:
            float32 [B, C, H, W]: logits (semseg, edges), metres (depth, disp: up to scale), unit vectors (normals).
        """
        prediction = resize(prediction.float(), size)
        if task == "depth":
            return self._metres(prediction)
        if task == "disp":
            return disparity_to_depth(prediction, *self.disparity_range)
        if task == "normals":
            return F.normalize(prediction, dim=1)
        return prediction

    def _metres(self, prediction: Tensor) -> Tensor:
        if self.depth_in_metres:
            return prediction.relu()
        return inverse_to_metres(prediction.clamp(min=SMALLEST_INVERSE_DEPTH))

    def final(self, predictions: Mapping[str, Mapping[int, Tensor]], size: tuple[int, int]) -> dict[str, Tensor]:
        """Every task's finest prediction, converted."""
        return {task: self(task, scales[min(scales)], size) for task, scales in predictions.items()}


def build_decoder(loss: LossConfig) -> Decoder:
    """The decoder that fits what the losses train."""
    disparity = loss.photometric.kwargs if loss.photometric else PhotometricKwargs()
    return Decoder(
        depth_in_metres=isinstance(loss.tasks.get("depth"), L1Depth),
        disparity_range=(disparity.min_depth, disparity.max_depth),
    )
