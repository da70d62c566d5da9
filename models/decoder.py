"""The skip decoder of DenseMTL (`padnet+` in configs).

The decoder climbs from the encoder's last feature to the image's resolution, level 4 to level 0, and may stop between
two levels for the tasks to exchange features (Lopes et al., WACV 2023, sec. 3.3 and 4.1).
Source: Monodepth2 (Godard et al., ICCV 2019), opened by an ASPP as in "Three Ways to Improve Semantic Segmentation with
Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.network import Head
from models.upsampling import convolve_doubled
from utils.checkpointing import run_checkpointed
from utils.convolution import Conv2d, convolve
from utils.layers import ConvNormReLU
from vendor.three_ways.aspp import ASPP


class Block(nn.Module):
    """A 3x3 convolution, batch norm if asked for, ELU, dropout of whole channels."""

    def __init__(self, *, in_channels: int, out_channels: int, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 3)
        self.norm = nn.BatchNorm2d(out_channels) if batch_norm else nn.Identity()
        # In place: neither convolution nor batch norm needs its output for its gradient.
        self.act = nn.ELU(inplace=True)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()

    def finish(self, convolved: Tensor) -> Tensor:
        """What follows the convolution, [B,out_channels,h,w] before and after."""
        return self.dropout(self.act(self.norm(convolved)))


class ConvBlock(Block):
    """The block before the upsampling."""

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] -> [B,out_channels,h,w]."""
        return self.finish(self.conv(_reflect(x)))


class MergeBlock(Block):
    """The block after the upsampling: sees the level below, upsampled, and the encoder's feature beside it."""

    def forward(self, x: Tensor, skip: Tensor | None, size: Sequence[int]) -> Tensor:
        """x [B,C,h,w] upsampled by nearest to `size` (h',w'), skip [B,C_skip,h',w'] -> [B,out_channels,h',w']."""
        if (2 * x.shape[-2], 2 * x.shape[-1]) == tuple(size):
            # The usual case, without making the upsampled map and the concatenation.
            below, beside = self.conv.weight.split([x.shape[1], self.conv.in_channels - x.shape[1]], dim=1)
            convolved = convolve_doubled(x, below, self.conv.bias)  # [B,out_channels,h',w']
            if skip is not None:
                convolved = convolved.add_(convolve(_reflect(skip), beside))
            return self.finish(convolved)
        if x.shape[-2:] != torch.Size(size):
            x = F.interpolate(x, size=tuple(size), mode="nearest")  # [B,C,h',w']
        return self.finish(self.conv(_reflect(x if skip is None else torch.cat([x, skip], dim=1))))


class SigmoidPrediction(nn.Module):
    """A prediction in (0, 1) (disparity): 3x3 convolution after reflection padding, sigmoid."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] -> [B,out_channels,h,w], float32 also under autocast."""
        return self.conv(_reflect(x)).float().sigmoid()


class DecoderLevel(nn.Module):
    """One level: a block, upsampling, the encoder's finer feature beside it, another block.

    `skip` is what the encoder's feature passes before it is concatenated; None leaves it out.
    """

    def __init__(self, *, enter: nn.Module, skip: nn.Module | None, merge: MergeBlock) -> None:
        super().__init__()
        self.enter = enter
        self.skip = skip
        self.merge = merge

    def forward(self, x: Tensor, finer: Tensor | None) -> Tensor:
        """The level below [B,C,h,w] and the encoder's finer feature [B,C_skip,h',w'] -> [B,C_level,h',w'].

        Level 0 has no finer feature and doubles the size.
        """
        x = self.enter(x)  # [B,C_level,h,w]
        size = (2 * x.shape[-2], 2 * x.shape[-1]) if finer is None else finer.shape[-2:]
        return self.merge(x, None if self.skip is None else self.skip(finer), size)


class Decoder(Head):
    """The skip decoder of one task; level n of its n+1 levels opens on the encoder's last feature.

    Args:
        encoder_channels: of the encoder's five features, finest first.
        active_scales: levels with a prediction; scale s has 1/2^s of the image's resolution.
        num_ch_dec: channels of the levels 0..n.
        aspp: takes the place of the first block of level n when given, with that level's channels.
        is_regression: predictions pass a sigmoid.
        use_skips: whether levels see the encoder's finer features.
        n_project_skip_ch: channels to which these features are projected; -1 leaves them as they are.
        dropout: probability of dropping a channel after every block.

    Attributes:
        checkpoints_activations: run the levels again in the backward pass instead of keeping what is in them.
    """

    def __init__(
        self,
        *,
        encoder_channels: Sequence[int],
        num_out_ch: int,
        active_scales: Sequence[int],
        num_ch_dec: Sequence[int],
        aspp: ASPP | None = None,
        is_regression: bool = False,
        use_skips: bool = True,
        n_project_skip_ch: int = -1,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        top = len(num_ch_dec) - 1
        self.active_scales = tuple(active_scales)
        self.num_ch_dec = tuple(num_ch_dec)
        self.level_order = tuple(range(top, -1, -1))
        self.checkpoints_activations = False

        self.levels = nn.ModuleDict()
        below = encoder_channels[-1]
        for level in self.level_order:
            width = num_ch_dec[level]
            enter: nn.Module
            if aspp is not None and level == top:
                enter = aspp
            else:
                enter = ConvBlock(in_channels=below, out_channels=width, batch_norm=batch_norm, dropout=dropout)
            skip: nn.Module | None = None
            skip_channels = 0
            if use_skips and level > 0:
                skip, skip_channels = nn.Identity(), encoder_channels[level - 1]
                if n_project_skip_ch != -1:
                    skip = ConvNormReLU(in_channels=skip_channels, out_channels=n_project_skip_ch)
                    skip_channels = n_project_skip_ch
            self.levels[str(level)] = DecoderLevel(
                enter=enter,
                skip=skip,
                merge=MergeBlock(
                    in_channels=width + skip_channels, out_channels=width, batch_norm=batch_norm, dropout=dropout
                ),
            )
            below = width

        self.predictions = nn.ModuleDict()
        for scale in self.active_scales:
            self.predictions[str(scale)] = (
                SigmoidPrediction(in_channels=num_ch_dec[scale], out_channels=num_out_ch)
                if is_regression
                else nn.Conv2d(num_ch_dec[scale], num_out_ch, kernel_size=1)
            )

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return list(self.predictions.values())

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """All levels at once: the encoder's five features -> {scale: [B,num_out_ch,H/2^scale,W/2^scale]}."""
        return self.run(features[-1], features, self.level_order)[1]

    def run(self, x: Tensor, features: Sequence[Tensor], levels: Sequence[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """One section of the decoder.

        Args:
            x: output of the level before the section, the encoder's last feature at the start; [B,C,h,w].
            features: the encoder's five, finest first.
            levels: the levels to run, descending.

        Returns:
            The last level's output [B,num_ch_dec[level],h',w'] and the predictions of the active scales among `levels`,
            {scale: [B,num_out_ch,h_s,w_s]}.
        """
        predictions = {}
        for level in levels:
            finer = features[level - 1] if level > 0 else None
            block = self.levels[str(level)]
            x = run_checkpointed(block, x, finer) if self.checkpoints_activations else block(x, finer)
            if level in self.active_scales:
                predictions[level] = self.predictions[str(level)](x)
        return x, predictions


def _reflect(x: Tensor) -> Tensor:
    """Pad [B,C,h,w] by one pixel a side, mirrored at the border: [B,C,h+2,w+2]."""
    return F.pad(x, (1, 1, 1, 1), mode="reflect")
