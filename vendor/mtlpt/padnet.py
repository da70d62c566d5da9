"""The two-bottleneck block before every prediction of PAD-Net (Xu et al., CVPR 2018).

Source: Multi-Task-Learning-PyTorch (Simon Vandenhende), which builds it from the residual bottleneck of ResNet
(He et al., CVPR 2016); the bottleneck itself is torchvision's.
"""

from torch import nn
from torchvision.models.resnet import Bottleneck


def two_bottlenecks(*, in_channels: int, channels: int) -> nn.Sequential:
    """Two residual bottlenecks, [B,in_channels,H,W] -> [B,channels,H,W], `channels` a multiple of 4."""
    width = channels // Bottleneck.expansion
    projection = None
    if in_channels != channels:
        conv = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        projection = nn.Sequential(conv, nn.BatchNorm2d(channels))
    return nn.Sequential(Bottleneck(in_channels, width, downsample=projection), Bottleneck(channels, width))
