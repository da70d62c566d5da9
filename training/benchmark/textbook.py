"""A network in the textbook form: what `models` computes in fewer operations, written out as papers and tutorials do.

The reference of the benchmarks, and the same function up to rounding: upsampled maps, padded maps and concatenations
are made before they are convolved.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import DirectionFeature
from models.decoder import ConvBlock, MergeBlock, SigmoidPrediction
from vendor.three_ways.aspp import ASPP


class TextbookConvBlock(ConvBlock):
    """Pad by reflection, convolve."""

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.conv(_reflect(x)))


class TextbookMergeBlock(MergeBlock):
    """Upsample, concatenate, pad by reflection, convolve."""

    def forward(self, x: Tensor, skip: Tensor | None, size: Sequence[int]) -> Tensor:
        x = _upsample(x, size)
        return self.finish(self.conv(_reflect(x if skip is None else torch.cat([x, skip], dim=1))))


class TextbookSigmoidPrediction(SigmoidPrediction):
    """Pad by reflection, convolve, sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(_reflect(x)).float().sigmoid()


class TextbookASPP(ASPP):
    """Upsample the pooled branch, concatenate all, project."""

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.pointwise(x), *(branch(x) for branch in self.dilated)]
        if self.pooled is not None:
            branches.append(_upsample(self.pooled(x.mean((2, 3), keepdim=True)), x.shape[-2:]))
        return self.dropout(self.project(torch.cat(branches, dim=1)))


class TextbookDirectionFeature(DirectionFeature):
    """Upsample the attention branch, concatenate both, project."""

    def forward(self, target: Tensor, source: Tensor) -> Tensor:
        extracted = self.extract(source).relu()
        branches = []
        if self.self_attention is not None:
            branches.append(self.self_attention(extracted))
        if self.attention is not None:
            branches.append(_upsample(self.attention(target, extracted), target.shape[-2:]))
        return self.project(torch.cat(branches, dim=1))


TEXTBOOK = {
    ConvBlock: TextbookConvBlock,
    MergeBlock: TextbookMergeBlock,
    SigmoidPrediction: TextbookSigmoidPrediction,
    ASPP: TextbookASPP,
    DirectionFeature: TextbookDirectionFeature,
}


def textbook(network: nn.Module) -> nn.Module:
    """A copy of a network, weights included, whose blocks compute in the textbook form."""
    network = copy.deepcopy(network)
    for module in network.modules():
        module.__class__ = TEXTBOOK.get(type(module), type(module))
    return network


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="nearest")
