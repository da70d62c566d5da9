"""Nearest upsampling by 2 and the 3x3 convolution after it as one transposed convolution of the small map.

The decoders of DenseMTL upsample by nearest before the second block of a level (Lopes et al., WACV 2023, sec. 4.1). Of
the nine taps of a 3x3 convolution there, several fall on copies of one pixel: each output position sees 2x2 pixels of
the small map, through taps that are sums, which takes 2.25 times fewer multiplications and neither the upsampled nor
the padded map. docs/performance.md has what it gains.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`conv3x3(reflection_pad(nearest_upsample(x, 2), 1))`, equal up to rounding.

    x [B,C,h,w], weight [C_out,C,3,3], bias [C_out] -> [B,C_out,2h,2w].
    """
    # Reflecting the upsampled map at its border repeats the small map's border.
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")  # [B,C,h+2,w+2]
    kernel = _stretch(_stretch(weight, dim=2), dim=3).transpose(0, 1)  # [C,C_out,4,4]
    return F.conv_transpose2d(padded, kernel, bias, stride=2, padding=3)  # [B,C_out,2h,2w]


def _stretch(weight: Tensor, *, dim: int) -> Tensor:
    """Three taps along one axis -> the four of a transposed convolution of stride 2.

    Even output positions get the first tap from the pixel before and the sum of the others from their own; odd ones the
    last tap from the pixel after and the sum of the others from their own.
    """
    first, middle, last = weight.split(1, dim=dim)
    return torch.cat([last, middle + last, first + middle, first], dim=dim)
