"""Surface normal losses: one minus the cosine to the true normal (Lopes et al., WACV 2023, sec. 3)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from loss.base import Target, TaskLoss, masked_mean
from utils.geometry import metres_to_inverse, normals_from_depth


class CosineLoss(TaskLoss):
    """Mean of 1 - cosine over valid pixels, in 0..2; 0 where there are none."""

    def compare(self, prediction: Tensor, target: Target) -> Tensor:
        """`prediction` are vectors [B, 3, H, W] of any length: x right, y down, z towards the camera."""
        normals, mask = target
        # Never shorter than 1e-6, so that a prediction of nothing has a gradient (of 0). Written out because on a CPU
        # `normalize` and `cosine_similarity` over the channels take five times as long.
        length = (prediction * prediction).sum(1, keepdim=True).clamp(min=1e-12).sqrt()  # [B, 1, H, W]
        cosine = (prediction * normals).sum(1, keepdim=True) / length
        return masked_mean(1 - cosine, mask)


class NormalsLoss(CosineLoss):
    """Cosine loss against normals that are derived from the depth map, for datasets without stored normals.

    Args:
        from_inverse_depth: Derive them from normalised inverse depth instead of metres: not the scene's surface, but
            what the published weights were trained with.
    """

    label = "depth"

    def __init__(self, *, from_inverse_depth: bool = False) -> None:
        super().__init__()
        self.from_inverse_depth = from_inverse_depth

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, 3, H, W] unit normals, [B, 1, H, W] bool valid)"""
        depth = batch["depth"].float()
        if self.from_inverse_depth:
            depth = metres_to_inverse(depth)
        return normals_from_depth(depth, batch["depth_mask"], batch["intrinsics"].float())


class StoredNormalsLoss(CosineLoss):
    """Cosine loss against the normals a dataset stores (NYUDv2)."""

    label = "normals"

    def target(self, batch: Mapping[str, Any]) -> Target:
        """([B, 3, H, W] unit normals, [B, 1, H, W] bool valid)"""
        return batch["normals"].float(), batch["normals_mask"]
