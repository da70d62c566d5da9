"""Adversarial alignment of two domains (Lopes et al., WACV 2023; after ADVENT, Vu et al., CVPR 2019).

A discriminator per (task, scale) sees a map made from the prediction and tells the labelled source from the unlabelled
target. The network is trained to have its target maps taken for source.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.geometry import metres_to_inverse, resize
from vendor.advent.entropy import self_information

# What a discriminator's logits are compared with: it answers "is this the target domain?".
SOURCE = 0
TARGET = 1


def alignment_map(
    task: str, prediction: Tensor, size: tuple[int, int], depth_range: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """What the discriminator of a task sees: [B, C, h, w] raw network output -> float32 [B, C, *size].

    Args:
        task: semseg, edges -> self-information; depth -> inverse depth, 0..1 over the source's range; normals -> unit
            vectors.
        prediction: raw network output, at any scale.
        size: (height, width) of the images.
        depth_range: least and largest inverse depth of the source batch (`inverse_depth_range`); for depth only.

    Raises:
        ValueError: a task without a map, or depth without its range.
    """
    full = resize(prediction.float(), size)
    match task:
        case "semseg" | "edges":
            return self_information(full)
        case "normals":
            return F.normalize(full, dim=1)
        case "depth" if depth_range is not None:
            low, high = depth_range
            return (full.relu() - low) / (high - low)
    raise ValueError(f"no alignment map is defined for the task {task!r}; that of depth needs depth_range")


def inverse_depth_range(depth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest normalised inverse depth of a batch, as scalars that are never equal.

    A batch without measured depth gives (0, 1), one of a single depth a range of length 1: the map stays finite.

    Args:
        depth: [B, 1, H, W] metres.
        mask: [B, 1, H, W] bool, true where depth is measured.
    """
    inverse = metres_to_inverse(depth.float())
    low = inverse.masked_fill(~mask, torch.inf).amin()
    high = inverse.masked_fill(~mask, -torch.inf).amax()
    low = torch.where(low <= high, low, 0.0)
    return low, torch.where(high > low, high, low + 1)


def domain_bce(logits: Tensor, domain: int) -> Tensor:
    """Binary cross entropy of a discriminator's logits (any shape) against one domain everywhere, a scalar.

    A discriminator D minimises `domain_bce(D(source map), SOURCE)` and `domain_bce(D(target map), TARGET)`; the network
    minimises `domain_bce(D(target map), SOURCE)`, to have its target maps taken for source.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, domain, dtype=torch.float32))


def domain_accuracy(logits: Tensor, domain: int) -> Tensor:
    """Share of a discriminator's logits on the side of the true domain, a scalar on their device."""
    is_target = logits.detach() > 0
    return (is_target == (domain == TARGET)).float().mean()
