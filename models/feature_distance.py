"""Feature distance: keeps an encoder that learns from video near the ImageNet features it started from.

Source: "Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021,
sec. 3.1), which DenseMTL's semi-supervised setting builds on (Lopes et al., WACV 2023).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class FeatureDistance(nn.Module):
    """Weighted mean distance of bottleneck features to those of a frozen reference encoder.

    The distance is the L2 norm over channels of the difference, averaged over images and positions. The reference is
    no registered submodule: it has no place in saved weights, in `parameters()` or in an optimizer, but it moves with
    `.to()` like the rest.

    Args:
        reference: encoder giving a list of features, the bottleneck last; frozen and set to evaluation here.
        weight: factor of the distance in the loss; 0.01 is Hoyer et al.'s.
    """

    def __init__(self, *, reference: nn.Module, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight
        # A list hides the module from nn.Module's registration.
        self._reference = [reference.requires_grad_(False).eval()]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FeatureDistance":
        self._reference[0]._apply(fn)
        return super()._apply(fn, recurse)

    def forward(self, feature: Tensor, image: Tensor) -> Tensor:
        """Bottleneck feature [B,C,h,w] of the trained encoder for `image` [B,3,H,W] in [0,1] -> scalar loss."""
        with torch.no_grad():
            target = self._reference[0](image)[-1]  # [B,C,h,w]
        difference = feature.float() - target.float()
        return self.weight * torch.linalg.vector_norm(difference, dim=1).mean()
