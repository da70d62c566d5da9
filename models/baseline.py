"""The baselines without any exchange: single-task learning (one head) and plain multi-task learning (several).

Lopes et al., WACV 2023, sec. 4 (STL and MTL).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.decoder import Decoder, DeepLabHead


class Baseline(nn.Module):
    """One encoder and, on its features, the head of each task.

    Args:
        backbone: the encoder, giving a list of five features.
        heads: head of each task, in the order of the tasks.
    """

    def __init__(self, *, backbone: nn.Module, heads: Mapping[str, Decoder | DeepLabHead]) -> None:
        super().__init__()
        self.tasks = tuple(heads)
        self.scales = {task: head.active_scales for task, head in heads.items()}
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)

    def forward(self, image: Tensor) -> dict[str, dict[int, Tensor]]:
        """Image [B,3,H,W] in [0,1] -> {task: {scale: [B,C_task,H/2^scale,W/2^scale]}}."""
        return self.decode(self.backbone(image), image.shape[-2:])

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> dict[str, dict[int, Tensor]]:
        """Predictions from the encoder's five features; the heads reach the image's `size` (H, W) by themselves."""
        return {task: head(features) for task, head in self.heads.items()}
