"""The part `setup.loss`: one loss per task, named by `loss`, all else in its `kwargs` (DenseMTL, sec. 3 and 4)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from utils.config.schema.types import (
    Frames,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Scales,
    Section,
    TaskName,
)
from utils.constants import MAX_DEPTH, MIN_DEPTH


class LossKwargs(Section):
    """Options of every task loss."""

    scales: Scales = Field([0], description="Scales of the prediction that are supervised.")
    weight: NonNegativeFloat | list[NonNegativeFloat] = Field(1.0, description="Weight, for all scales or one each.")
    n_classes: PositiveInt | None = Field(None, description="Number of classes; must be that of the data.")

    @model_validator(mode="after")
    def _one_weight_per_scale(self):
        if isinstance(self.weight, list) and len(self.weight) != len(self.scales):
            raise ValueError(f"weight lists {len(self.weight)} values for the {len(self.scales)} scales {self.scales}")
        return self

    @property
    def weights(self) -> dict[int, float]:
        """Weight by supervised scale, in the order of `scales`."""
        given = self.weight if isinstance(self.weight, list) else [self.weight] * len(self.scales)
        return dict(zip(self.scales, given, strict=True))


class DepthKwargs(LossKwargs):
    """Options of the losses of metric depth; all concern the metric."""

    median_scaling: bool = Field(True, description="Evaluate depth scaled by the ratio of the medians.")
    min_depth: NonNegativeFloat = Field(MIN_DEPTH, description="Nearest depth evaluated, metres.")
    max_depth: PositiveFloat = Field(MAX_DEPTH, description="Farthest depth evaluated, metres.")

    @model_validator(mode="after")
    def _ordered(self):
        if self.min_depth >= self.max_depth:
            raise ValueError(f"min_depth {self.min_depth:g} must be below max_depth {self.max_depth:g}")
        return self

    @property
    def measured_range(self) -> tuple[float, float]:
        """(nearest, farthest) depth that is evaluated, metres."""
        return self.min_depth, self.max_depth


class PhotometricKwargs(DepthKwargs):
    """Options of the photometric loss; `median_scaling` and `test_*` concern the metric."""

    min_depth: PositiveFloat = Field(0.1, description="Depth of disparity 1, up to scale.")
    max_depth: PositiveFloat = Field(100.0, description="Depth of disparity 0, up to scale.")
    test_min_depth: NonNegativeFloat = Field(MIN_DEPTH, description="Nearest depth evaluated, metres.")
    test_max_depth: PositiveFloat = Field(MAX_DEPTH, description="Farthest depth evaluated, metres.")
    disparity_smoothness: NonNegativeFloat = Field(1e-3, description="Weight of the smoothness at scale 0.")
    no_ssim: bool = Field(False, description="Compare colours only.")
    avg_reprojection: bool = Field(False, description="Mean over the frames instead of the minimum.")
    disable_automasking: bool = Field(False, description="Also learn from pixels that do not move.")
    frame_ids: Frames | None = Field(None, description="Frames that are warped; default: data.frame_ids.")
    num_scales: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")
    batch_size: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")
    width: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")
    height: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")
    crop_w: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")
    crop_h: PositiveInt | None = Field(None, description="No effect: sizes come from the batch.")

    @model_validator(mode="after")
    def _measured_ordered(self):
        if self.test_min_depth >= self.test_max_depth:
            low, high = self.measured_range
            raise ValueError(f"test_min_depth {low:g} must be below test_max_depth {high:g}")
        return self

    @property
    def measured_range(self) -> tuple[float, float]:
        """(nearest, farthest) depth that is evaluated, metres; `min_depth` and `max_depth` belong to the disparity."""
        return self.test_min_depth, self.test_max_depth


class NormalsKwargs(LossKwargs):
    from_inverse_depth: bool = Field(False, description="Derive them from inverse depth, as published weights did.")


class EdgesKwargs(LossKwargs):
    pos_weight: Probability = Field(0.95, description="Weight of edge pixels; others have 1 - pos_weight.")


class CrossEntropy(Section):
    loss: Literal["cross_entropy"] = Field(description="Cross entropy over the classes.")
    kwargs: LossKwargs = Field(LossKwargs(), description="Its options.")


class Berhu(Section):
    loss: Literal["berhu"] = Field(description="Reverse Huber on inverse depth.")
    kwargs: DepthKwargs = Field(DepthKwargs(), description="Its options.")


class L1Depth(Section):
    loss: Literal["L1_depth"] = Field(description="Absolute difference in metres.")
    kwargs: DepthKwargs = Field(DepthKwargs(), description="Its options.")


class Normals(Section):
    loss: Literal["normals"] = Field(description="Cosine to the normals of the depth map.")
    kwargs: NormalsKwargs = Field(NormalsKwargs(), description="Its options.")


class StoredNormals(Section):
    loss: Literal["gt_normals"] = Field(description="Cosine to the dataset's normals.")
    kwargs: LossKwargs = Field(LossKwargs(), description="Its options.")


class Edges(Section):
    loss: Literal["edges"] = Field(description="Weighted cross entropy of edge and no edge.")
    kwargs: EdgesKwargs = Field(EdgesKwargs(), description="Its options.")


class Photometric(Section):
    loss: Literal["ssde"] = Field(description="Difference of warped video frames; needs no labels.")
    kwargs: PhotometricKwargs = Field(PhotometricKwargs(), description="Its options.")


SupervisedConfig = CrossEntropy | Berhu | L1Depth | Normals | StoredNormals | Edges
TaskLossConfig = Annotated[SupervisedConfig | Photometric, Field(discriminator="loss")]


@dataclass(frozen=True)
class TaskFacts:
    """What a config may ask of a task: the losses that train it, and the channels of its prediction (None: classes)."""

    losses: tuple[str, ...]
    channels: int | None


TASKS: dict[TaskName, TaskFacts] = {
    "semseg": TaskFacts(("cross_entropy",), None),
    "depth": TaskFacts(("berhu", "L1_depth"), 1),
    "disp": TaskFacts(("ssde",), 1),
    "normals": TaskFacts(("normals", "gt_normals"), 3),
    "edges": TaskFacts(("edges",), 2),
}


class MultiTaskKwargs(Section):
    baselines: dict[TaskName, PositiveFloat] | None = Field(None, description="Score of each task; semseg, edges in %.")
    gammas: dict[TaskName, Literal[0, 1]] | None = Field(None, description="1 where lower is better. No effect.")


class LossConfig(Section):
    tasks: dict[TaskName, TaskLossConfig] = Field(min_length=1, description="The loss of every task.")
    kwargs: MultiTaskKwargs = Field(MultiTaskKwargs(), description="References of delta_m.")

    @property
    def photometric(self) -> Photometric | None:
        """The loss that learns depth from video, where there is one."""
        return next((section for section in self.tasks.values() if isinstance(section, Photometric)), None)

    @property
    def supervised(self) -> dict[TaskName, SupervisedConfig]:
        """The losses that need labels."""
        return {task: section for task, section in self.tasks.items() if not isinstance(section, Photometric)}
