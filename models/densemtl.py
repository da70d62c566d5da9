"""DenseMTL: one encoder, one decoder per task, cross-task exchanges between the decoders.

Lopes et al., WACV 2023, "Cross-task Attention Mechanism for Dense Multi-task Learning", sec. 3.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.decoder import Decoder
from models.exchange import ExchangeBlock


class DenseMTL(nn.Module):
    """The decoders run in sections; between two of them, at the level reached, the tasks exchange features.

    Args:
        backbone: the encoder, giving a list of five features.
        heads: decoder of each task, in the order of the tasks.
        sections: decoder levels, from the coarsest to 0, cut where features are exchanged, e.g. [[4,3,2,1],[0]].
        exchanges: level -> the exchange after the section that ends there; a section may go without.

    Raises:
        ValueError: sections that are not the decoders' levels in order, or exchanges elsewhere than between them.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        heads: Mapping[str, Decoder],
        sections: Sequence[Sequence[int]],
        exchanges: Mapping[int, ExchangeBlock],
    ) -> None:
        super().__init__()
        check_sections(heads, sections)
        ends = [section[-1] for section in sections[:-1]]
        if not all(level in ends for level in exchanges):
            raise ValueError(f"exchanges must be at the ends {ends} of all but the last section, got {list(exchanges)}")
        self.tasks = tuple(heads)
        self.scales = {task: head.active_scales for task, head in heads.items()}
        self.sections = tuple(tuple(section) for section in sections)
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.exchanges = nn.ModuleDict({str(level): exchange for level, exchange in exchanges.items()})

    def forward(self, image: Tensor) -> dict[str, dict[int, Tensor]]:
        """Image [B,3,H,W] in [0,1] -> {task: {scale: [B,C_task,H/2^scale,W/2^scale]}}."""
        return self.decode(self.backbone(image), image.shape[-2:])

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> dict[str, dict[int, Tensor]]:
        """Predictions from the encoder's features, as `forward` gives them.

        Args:
            features: the encoder's five, finest first.
            size: (H, W) of the image; the decoders reach it by themselves.
        """
        x = {task: features[-1] for task in self.tasks}  # [B,C,h,w] each
        predictions = {task: {} for task in self.tasks}
        for levels in self.sections:
            # Task decoders, one section
            for task, head in self.heads.items():
                x[task], made = head.run(x[task], features, levels)
                predictions[task].update(made)

            # Multi-task exchange block
            reached = str(levels[-1])
            if reached in self.exchanges:
                x = self.exchanges[reached](x)
        return predictions


def check_sections(heads: Mapping[str, Decoder], sections: Sequence[Sequence[int]]) -> None:
    """Raise a ValueError unless the sections, joined, are every head's levels in order, none of them empty."""
    if not all(len(section) for section in sections):
        raise ValueError(f"every decoder section needs a level, got {[list(section) for section in sections]}")
    joined = [level for section in sections for level in section]
    for task, head in heads.items():
        if joined != list(head.level_order):
            raise ValueError(
                f"decoder sections must be the levels {list(head.level_order)} of the {task} head, cut in pieces, "
                f"got {[list(section) for section in sections]}"
            )
