"""xTAM, the cross-task attention: what one task's features say about another's.

Lopes et al., WACV 2023, sec. 3.2: for a target task i and a source task j, a spatial cross-task attention (correlation)
and a self-attention branch together give the feature of the direction j to i.

Shapes: B batch, C channels, (h, w) size of the level, s downscale, N = (h/s)(w/s) positions attended to.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.convolution import Conv2d
from utils.layers import ConvNormReLU
from vendor.mtlpt.attention import SigmoidAttention


@dataclass(frozen=True)
class ExchangeDesign:
    """What an exchange is made of; the defaults are the paper's full model.

    Attributes:
        attention: the spatial cross-task attention branch (`SxTAM` in configs).
        self_attention: the self-attention branch (`SA`); at least one of the two.
        alpha: a learned weight per channel on the attention (`no_alpha` drops it).
        full_self_attention: the self-attention keeps all channels (`full_sa`), else half of them.
        combine: the messages of the others are added to the task's own feature (`add`), multiply it (`prod`), or are
            concatenated with it (neither word).
    """

    attention: bool = True
    self_attention: bool = True
    alpha: bool = True
    full_self_attention: bool = False
    combine: Literal["add", "prod", "concat"] = "add"


class SpatialCrossTaskAttention(nn.Module):
    """The correlation-guided attention: each target position gathers from the source positions it resembles.

    Args:
        channels, downscale: C, and s, by which the grid of the attention is coarser.
        use_alpha: scale the result by a learned weight per channel that starts at 0, so that an untrained exchange
            changes nothing.
    """

    def __init__(self, *, channels: int, downscale: int, use_alpha: bool = True) -> None:
        super().__init__()
        self.downscale = downscale
        self.query = ConvNormReLU(in_channels=channels, out_channels=channels)
        self.key = ConvNormReLU(in_channels=channels, out_channels=channels)
        self.value = ConvNormReLU(in_channels=channels, out_channels=channels)
        self.alpha = nn.Parameter(torch.zeros(1, channels, 1, 1)) if use_alpha else None

    def forward(self, target: Tensor, source: Tensor) -> Tensor:
        """Attend.

        Args:
            target: f_i, [B,C,h,w].
            source: g, what was extracted from f_j, [B,C,h,w].

        Returns:
            [B,C,h/s,w/s], on the coarse grid: the caller upsamples.
        """
        # Both features on the coarse grid
        coarse_source = F.max_pool2d(source, self.downscale)  # [B,C,h/s,w/s]
        size = coarse_source.shape[-2:]
        coarse_target = F.interpolate(target, size=size, mode="nearest")  # [B,C,h/s,w/s]

        # softmax(q^T k / sqrt(C)) v over the source's positions; the N x N matrix is never made
        query = _tokens(self.query(coarse_target))  # [B,1,N,C]
        key = _tokens(self.key(coarse_source))  # [B,1,N,C]
        value = _tokens(self.value(coarse_source))  # [B,1,N,C]
        attended = F.scaled_dot_product_attention(query, key, value)  # [B,1,N,C]
        attended = attended.squeeze(1).transpose(1, 2).unflatten(2, size)  # [B,N,C] -> [B,C,N] -> [B,C,h/s,w/s]

        if self.alpha is None:
            return attended
        return attended * self.alpha.to(attended.dtype)


class DirectionFeature(nn.Module):
    """xTAM: the feature of the direction from a source task to a target task."""

    def __init__(self, *, channels: int, downscale: int, design: ExchangeDesign) -> None:
        super().__init__()
        self.extract = Conv2d(channels, channels, 3, padding=1)
        self.self_attention = None
        self.attention = None
        width = 0
        if design.self_attention:
            own = channels if design.full_self_attention else channels // 2
            self.self_attention = SigmoidAttention(in_channels=channels, out_channels=own)
            width += own
        if design.attention:
            self.attention = SpatialCrossTaskAttention(channels=channels, downscale=downscale, use_alpha=design.alpha)
            width += channels
        self.project = ConvNormReLU(in_channels=width, out_channels=channels)

    def forward(self, target: Tensor, source: Tensor) -> Tensor:
        """Target feature f_i and source feature f_j, [B,C,h,w] each -> direction feature [B,C,h,w]."""
        # Extract from the source
        extracted = F.relu(self.extract(source), inplace=True)  # g, [B,C,h,w]

        # The two branches
        branches = []
        if self.self_attention is not None:
            branches.append(self.self_attention(extracted))  # [B,C/2,h,w]
        if self.attention is not None:
            attended = self.attention(target, extracted)  # [B,C,h/s,w/s]
            branches.append(F.interpolate(attended, size=target.shape[-2:], mode="nearest"))  # [B,C,h,w]

        # Concatenate, project
        return self.project(torch.cat(branches, dim=1))  # [B,C,h,w]


def _tokens(x: Tensor) -> Tensor:
    """[B,C,h,w] -> [B,1,N,C], one head; a view when x is channels_last.

    Contiguous, because the kernels that never make the N x N matrix refuse any other layout.
    """
    return x.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()  # [B,C,N] -> [B,N,C] -> [B,1,N,C]
