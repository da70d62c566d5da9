"""The shared encoder: a ResNet (He et al., CVPR 2016) giving features at five depths.

Lopes et al., WACV 2023, sec. 4.1: ResNet-101 with its last stage dilated (output stride 16). The network and its
ImageNet weights are torchvision's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from models.weights import load_strictly, read_weights
from utils.checkpointing import run_checkpointed
from utils.errors import UserError

# Mean and deviation of all channels alike, as Monodepth2 trains its encoders.
INPUT_MEAN = 0.45
INPUT_STD = 0.225


class Encoder(nn.Module):
    """ResNet without its pooling and classifier; normalises its input itself. Weights have torchvision's names.

    Args:
        name: a ResNet of torchvision's, or of its family (ResNeXt, wide ResNet).
        use_dilation: which of the last three stages keep their resolution and are dilated instead.
        n_images: RGB images stacked in the input.

    Attributes:
        channels: of the five features, finest first.
        checkpoints_activations: run the residual blocks again in the backward pass instead of keeping what is in them.
    """

    def __init__(self, *, name: str, use_dilation: Sequence[bool] = (False, False, False), n_images: int = 1) -> None:
        super().__init__()
        resnet = torchvision.models.get_model(name, weights=None, replace_stride_with_dilation=list(use_dilation))
        if n_images > 1:
            resnet.conv1 = nn.Conv2d(3 * n_images, 64, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.name = name
        self.n_images = n_images
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        width = resnet.fc.in_features
        self.channels = (64, width // 8, width // 4, width // 2, width)
        self.checkpoints_activations = False
        self._is_frozen = False

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image [B,3*n_images,H,W] in [0,1] -> five features [B,channels[k],H/s,W/s], s = 2, 4, 8, 16, 32.

        Every dilated stage halves s of its own feature and of those after it.
        """
        x = (image - INPUT_MEAN) / INPUT_STD
        stem = self.relu(self.bn1(self.conv1(x)))  # [B,64,H/2,W/2]
        features = [stem]
        x = self.maxpool(stem)  # [B,64,H/4,W/4]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = run_checkpointed(block, x) if self.checkpoints_activations else block(x)
            features.append(x)
        return features

    def freeze(self) -> None:
        """Stop learning for good: no gradients, and batch norm keeps its statistics in training too."""
        self._is_frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Encoder":
        """As for any module, except that a frozen encoder stays in evaluation mode."""
        return super().train(mode and not self._is_frozen)

    def load_imagenet(self) -> None:
        """Take torchvision's ImageNet weights (IMAGENET1K_V1), from torch's cache folder or else the internet.

        Raises:
            UserError: not there and not to be had; says where the file may be put by hand.
        """
        weights = torchvision.models.get_model_weights(self.name)["IMAGENET1K_V1"]
        file = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
        if not file.is_file():
            try:
                weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"cannot download the ImageNet weights of {self.name} ({error}). Put {weights.url} by "
                    f"hand at {file}"
                ) from error
        self.load_classifier(read_weights(file), source=str(file))

    def load_classifier(self, state: Mapping[str, Tensor], *, source: str) -> None:
        """Take the weights of a torchvision classifier of the same name; its own classifier `fc` is left out.

        Stacked images: the first convolution is repeated for each and divided by their number, so that equal images
        give the feature of one. `source` names the weights in the error.

        Raises:
            UserError: lists missing, unexpected and misshapen names.
        """
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        stem = state.get("conv1.weight")
        if self.n_images > 1 and stem is not None and stem.shape[1] == 3:
            state["conv1.weight"] = stem.repeat(1, self.n_images, 1, 1) / self.n_images  # [64,3*n_images,7,7]
        load_strictly(self, state, source=source)
