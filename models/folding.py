"""A network for prediction only: batch norms folded into the convolutions before them.

In evaluation a batch norm multiplies every channel by a constant and adds another, which the convolution before it can
do itself: equal up to rounding, and a pass over every map less.
"""

import copy
from itertools import chain

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock, Bottleneck

from models.decoder import ConvBlock, MergeBlock
from models.encoder import Encoder
from utils.convolution import Conv2d
from utils.layers import ConvNormReLU

# Which norm follows which convolution, by the class that applies them one after the other. Subclasses are not meant:
# their `forward` may do otherwise.
PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    Encoder: (("conv1", "bn1"),),
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2"), ("downsample.0", "downsample.1")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("downsample.0", "downsample.1")),
    ConvNormReLU: (("conv", "norm"),),
    ConvBlock: (("conv", "norm"),),
    MergeBlock: (("conv", "norm"),),
}


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode, its batch norms folded into the convolutions of the blocks in `PAIRS`.

    A norm of any other block stays, as correct as before. The copy owns the weights of the folded convolutions and
    shares all others with the network, which is left as it is: fold again after the weights have changed.

    Args:
        network: any network of `models`, in either mode, on any device and in any memory format, which are kept.
    """
    # To copy what is already in the memo is to share it.
    shared = {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())}
    folded = copy.deepcopy(network, shared).eval()
    for block in folded.modules():
        for conv, norm in PAIRS.get(type(block), ()):
            _fold(block, conv, norm)
    return folded


def _fold(block: nn.Module, conv_name: str, norm_name: str) -> None:
    """Put the convolution that does the work of both in the place of one, nothing in that of the other."""
    children = dict(block.named_modules())
    conv, norm = children.get(conv_name), children.get(norm_name)
    # A block may go without the norm or the shortcut's projection. A norm without statistics is no constant. A class
    # derived from a convolution (a parametrised one, say) may have other weights than it shows.
    if type(conv) in (nn.Conv2d, Conv2d) and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        block.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        block.set_submodule(norm_name, nn.Identity().eval())
