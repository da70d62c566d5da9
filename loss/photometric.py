"""Depth from video: how well neighbouring frames, warped by the predicted depth and pose, explain the target frame.

The self-supervised loss of Monodepth2 (Godard et al., ICCV 2019), with which DenseMTL learns depth beside supervised
segmentation (semi-supervised depth, after 3-Ways, Hoyer et al., CVPR 2021). No label and no pose is needed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from loss.base import weighted_mean
from utils.geometry import disparity_to_depth, resize, warp
from vendor.monodepth2.photometric import WindowMoments, edge_aware_smoothness, reprojection_error, window_moments

TIE_NOISE = 1e-5  # standard deviation; far below any real difference of errors, which are within 0..1


@dataclass(frozen=True)
class PhotometricView:
    """What the loss sees at its finest scale, for panels. All at full size, without gradient.

    Attributes:
        depth: [B, 1, H, W] metres, up to the unknown scale of the scene.
        warped: per offset the neighbour warped into the target, [B, 3, H, W] in [0, 1].
        error: [B, 1, H, W] reprojection error over the frames, before automasking.
        automask: [B, 1, H, W] bool, true where the pixel trains depth: where warping explains the target better than
            the unwarped neighbours do. False on what moves with the camera, on standing frames, on plain surfaces.
    """

    depth: Tensor
    warped: dict[int, Tensor]
    error: Tensor
    automask: Tensor


@dataclass(frozen=True, kw_only=True)
class PhotometricLoss:
    """Reprojection error, minimum over frames, automasked, plus smoothness, for every scale of the disparity.

    Attributes:
        weights: weight by supervised scale of the disparity; scale k has 1 / 2^k of the image's size.
        offsets: frames to warp into the target, as frame numbers relative to it.
        min_depth, max_depth: metres (up to scale) that disparity 1 and 0 stand for.
        smoothness: weight of the smoothness term, divided by 2^k at scale k.
        use_ssim: SSIM and L1; else L1 alone.
        automask: leave out pixels that the unwarped neighbours explain better.
        average: mean over frames instead of the minimum, which tolerates what one frame does not see.
    """

    weights: Mapping[int, float]
    offsets: Sequence[int] = (-1, 1)
    min_depth: float = 0.1
    max_depth: float = 100.0
    smoothness: float = 1e-3
    use_ssim: bool = True
    automask: bool = True
    average: bool = False

    def __call__(
        self, disparities: Mapping[int, Tensor], batch: Mapping[str, Tensor], transforms: Mapping[int, Tensor]
    ) -> dict[int, Tensor]:
        """The loss of every scale before weighting, as scalars; `combine` makes the task's loss of them.

        Computed in float32 also under autocast: warping needs coordinates finer than bfloat16 has.

        Args:
            disparities: per scale [B, 1, h, w] in (0, 1).
            batch: `frame_0`, `frame_<offset>` [B, 3, H, W] without augmentation, `frame_0_s<k>` for scales k > 0,
                `intrinsics` [B, 3, 3].
            transforms: per offset [B, 4, 4], points of the target camera to points of the neighbour's camera.
        """
        target = batch["frame_0"]
        with torch.autocast(target.device.type, enabled=False):
            moments = window_moments(target) if self.use_ssim else None
            identity = None
            if self.automask:
                identity = self._identity_error(batch, moments)
                # Equal errors (a standing camera) must not train depth for good, nor always be left out.
                identity = identity + TIE_NOISE * torch.randn_like(identity)
            losses = {}
            for scale in self.weights:
                disparity = disparities[scale].float()
                error = self._reprojection_error(self._full_depth(disparity, target), batch, transforms, moments)
                if identity is not None:
                    error = torch.minimum(error, identity)
                image = batch[f"frame_0_s{scale}"] if scale else target
                weight = self.smoothness / 2**scale
                losses[scale] = error.mean() + weight * edge_aware_smoothness(disparity, image)
            return losses

    def combine(self, by_scale: Mapping[int, Tensor]) -> Tensor:
        """Mean over scales of weight * loss, as for every task, given the losses of a call."""
        return weighted_mean(by_scale, self.weights)

    @torch.no_grad()
    def diagnose(
        self, disparities: Mapping[int, Tensor], batch: Mapping[str, Tensor], transforms: Mapping[int, Tensor]
    ) -> PhotometricView:
        """The finest scale's warped frames and automask, for the arguments of a call; draws no random numbers."""
        target = batch["frame_0"]
        with torch.autocast(target.device.type, enabled=False):
            moments = window_moments(target) if self.use_ssim else None
            depth = self._full_depth(disparities[min(self.weights)].float(), target)
            warped = {
                offset: warp(batch[f"frame_{offset}"], depth, batch["intrinsics"], transforms[offset].float())
                for offset in self.offsets
            }
            error = self._over_frames(self._error(frame, target, moments) for frame in warped.values())
            automask = torch.ones_like(error, dtype=torch.bool)
            if self.automask:
                automask = error < self._identity_error(batch, moments)
            return PhotometricView(depth=depth, warped=warped, error=error, automask=automask)

    def _full_depth(self, disparity: Tensor, target: Tensor) -> Tensor:
        """Depth [B, 1, H, W] of a disparity [B, 1, h, w], resized edges onto edges as in Monodepth2."""
        height, width = target.shape[-2:]
        full = resize(disparity, (height, width), align_corners=False)
        return disparity_to_depth(full, self.min_depth, self.max_depth)

    def _reprojection_error(
        self,
        depth: Tensor,
        batch: Mapping[str, Tensor],
        transforms: Mapping[int, Tensor],
        moments: WindowMoments | None,
    ) -> Tensor:
        """Error [B, 1, H, W] of the neighbours warped by one scale's depth.

        Every warped frame is dropped after its error and computed again for the gradient. Otherwise some sixteen images
        per frame and scale would be kept until then: 400 MB instead of 30 for two images of 256x512 and four scales, to
        save a fifth of this loss's time.
        """
        target, intrinsics = batch["frame_0"], batch["intrinsics"]

        def error(frame: Tensor, transform: Tensor) -> Tensor:
            return self._error(warp(frame, depth, intrinsics, transform), target, moments)

        return self._over_frames(
            checkpoint(
                error,
                batch[f"frame_{offset}"],
                transforms[offset].float(),
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for offset in self.offsets
        )

    def _identity_error(self, batch: Mapping[str, Tensor], moments: WindowMoments | None) -> Tensor:
        """Error [B, 1, H, W] of the neighbours as they are; it does not depend on depth, hence not on the scale."""
        target = batch["frame_0"]
        return self._over_frames(self._error(batch[f"frame_{offset}"], target, moments) for offset in self.offsets)

    def _error(self, frame: Tensor, target: Tensor, moments: WindowMoments | None) -> Tensor:
        return reprojection_error(frame, target, use_ssim=self.use_ssim, target_moments=moments)

    def _over_frames(self, errors: Iterable[Tensor]) -> Tensor:
        """Minimum (or mean) over frames of [B, 1, H, W] errors, taken as they come so that no frame waits in memory."""
        if self.average:
            return reduce(torch.add, errors) / len(self.offsets)
        return reduce(torch.minimum, errors)
