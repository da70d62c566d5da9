"""Semi-supervised depth (SDE): segmentation from labels, depth from neighbouring video frames.

DenseMTL paper, sec. 4.3; the photometric supervision is Monodepth2's (Godard et al., ICCV 2019), its combination with
segmentation that of 3-Ways (Hoyer et al., CVPR 2021). Images without labels train depth alone: their train ids are all
"ignore".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataset.loader import Batch
from loss.multitask import MultiTaskLoss
from loss.photometric import PhotometricLoss, PhotometricView
from models.feature_distance import FeatureDistance
from models.network import Predictions
from models.video_depth import VideoDepth
from training.panels import to_numpy
from training.strategy import Strategy, detached
from utils.visualize import color_depth, color_disparity, color_image, color_mask, panel

TASK = "disp"


@dataclass(kw_only=True, eq=False)
class VideoDepthTraining(Strategy):
    """One pass of the network over the image, of the pose network over its neighbours, one backward.

    `datasets` holds "source", images with their neighbours; `forward` is `model.forward_video` or its compiled form.
    """

    model: VideoDepth
    forward: Callable[[Tensor, dict[int, Tensor]], tuple[Predictions, dict[int, Tensor], Tensor]]
    loss: MultiTaskLoss  # of the labelled tasks
    photometric: PhotometricLoss  # of disparity
    feature_distance: FeatureDistance | None  # keeps the encoder near its ImageNet features
    uncropped_pose: bool  # the pose network sees the frames before the crop, an option of 3-Ways

    def backward(self, batches: Mapping[str, Batch], *, step: int, share: float) -> dict[str, Tensor]:
        batch = batches["source"]
        with self.precision.autocast():
            predictions, transforms, feature = self.forward(batch["image"], self._frames(batch))
        # Segmentation from labels
        losses = self.loss(predictions, batch)
        # Depth from video
        by_scale = self.photometric(predictions[TASK], batch, transforms)
        losses[TASK] = self.photometric.combine(by_scale)
        losses |= {f"{TASK}_{scale}": value for scale, value in by_scale.items()}
        losses["total"] = losses["total"] + losses[TASK]
        # The encoder stays near ImageNet
        if self.feature_distance is not None:
            with self.precision.autocast():
                losses["feature_distance"] = self.feature_distance(feature, batch["image"])
            losses["total"] = losses["total"] + losses["feature_distance"]
        self.precision.backward(losses["total"] * share)
        return detached(losses)

    def _frames(self, batch: Batch) -> dict[int, Tensor]:
        """The augmented frames [B, 3, h, w] by offset, cropped or not: the input of the pose network."""
        kind = "pose" if self.uncropped_pose else "aug"
        return {offset: batch[f"frame_{offset}_{kind}"] for offset in self.model.frame_ids}

    @torch.inference_mode()
    def panels(self, batches: Mapping[str, Batch], n_samples: int) -> dict[str, np.ndarray]:
        """Disparity, warped neighbours, error and automask of the first samples of the last training batch."""
        batch = batches.get("source")
        if batch is None or not n_samples:
            return {}
        batch = {name: value[:n_samples] for name, value in batch.items()}
        self.model.eval()
        with self.precision.autocast():
            predictions, transforms, _ = self.model.forward_video(batch["image"], self._frames(batch))
        view = self.photometric.diagnose(predictions[TASK], batch, transforms)
        disparity = predictions[TASK][min(predictions[TASK])]
        return {
            f"video_{int(batch['index'][i]):05d}": _view_panel(batch, view, disparity, i)
            for i in range(len(batch["image"]))
        }


def _view_panel(batch: Batch, view: PhotometricView, disparity: Tensor, index: int) -> np.ndarray:
    """The images that the photometric loss compares, for one sample."""
    target = to_numpy(batch["frame_0"][index])
    top = [
        ("image", color_image(target)),
        ("disparity", color_disparity(to_numpy(disparity[index, 0]))),
        ("depth (up to scale)", color_depth(to_numpy(view.depth[index, 0]))),
        ("trained pixels", color_mask(target, to_numpy(view.automask[index, 0]).astype(bool))),
    ]
    warped = view.warped.items()
    bottom = [(f"frame {offset:+d}, warped", color_image(to_numpy(frame[index]))) for offset, frame in warped]
    bottom.append(("photometric error", color_disparity(to_numpy(view.error[index, 0]))))
    return panel([top, bottom])
