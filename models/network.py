"""What every multi-task network here is: an encoder, a head per task, and exchanges between the tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

Predictions = dict[str, dict[int, Tensor]]  # task -> scale -> [B,C_task,h,w]


class MultiTaskNetwork(nn.Module, ABC):
    """Base of the networks.

    Args:
        backbone: the encoder, giving a list of features, finest first.
        heads: head of each task, in the order of the tasks; each has `active_scales`, the scales it predicts.
        exchanges: by stage ("0" where there is only one), modules whose item `task` is the exchange towards that task.

    Attributes:
        tasks: in their declared order.
        scales: of each task's predictions.
    """

    def __init__(
        self, *, backbone: nn.Module, heads: Mapping[str, nn.Module], exchanges: Mapping[str, nn.ModuleDict]
    ) -> None:
        super().__init__()
        self.tasks = tuple(heads)
        self.scales = {task: tuple(head.active_scales) for task, head in heads.items()}
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.exchanges = nn.ModuleDict(exchanges)

    def forward(self, image: Tensor) -> Predictions:
        """Image [B,3,H,W] in [0,1] -> {task: {scale: [B,C_task,h,w]}}."""
        return self.decode(self.backbone(image), image.shape[-2:])

    @abstractmethod
    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Predictions:
        """Predictions from the encoder's features, as `forward` gives them.

        Args:
            features: the encoder's, finest first.
            size: (H, W) of the image.
        """

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """The parameters that serve one task alone: of its head and of every exchange towards it."""
        yield from self.heads[task].parameters()
        for exchange in self.exchanges.values():
            if task in exchange:
                yield from exchange[task].parameters()
