"""What every multi-task network here is: an encoder, a head per task, and exchanges between the tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar, cast

from torch import Tensor, nn

from models.encoder import Encoder

Predictions = dict[str, dict[int, Tensor]]  # task -> scale -> [B,C_task,h,w]


class Head(nn.Module, ABC):
    """Base of the heads; `active_scales` are the scales it predicts."""

    active_scales: tuple[int, ...]

    @property
    @abstractmethod
    def prediction_layers(self) -> list[nn.Module]:
        """The layers whose output channels are those of the prediction."""


HeadT = TypeVar("HeadT", bound=Head)


class Exchange(nn.ModuleDict):
    """The exchange between tasks at one stage: target task -> the exchange towards it."""

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: [B,C,h,w]} -> {target: [B,C,h,w]}, all from the features as they came."""
        return {target: exchange(features[target], features) for target, exchange in self.items()}


class MultiTaskNetwork(nn.Module, ABC, Generic[HeadT]):
    """Base of the networks.

    Args:
        heads: head of each task, in the order of the tasks.
        exchanges: by stage, "0" where there is only one.

    Attributes:
        scales: of each task's predictions.
    """

    def __init__(
        self, *, backbone: Encoder, heads: Mapping[str, HeadT], exchanges: Mapping[str, Exchange] | None = None
    ) -> None:
        super().__init__()
        self.tasks = tuple(heads)
        self.scales = {task: tuple(head.active_scales) for task, head in heads.items()}
        self.backbone = backbone
        # Typed as what they hold, which a ModuleDict cannot say.
        self.heads = cast(Mapping[str, HeadT], nn.ModuleDict(dict(heads)))
        self.exchanges = cast(Mapping[str, Exchange], nn.ModuleDict(dict(exchanges or {})))

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
