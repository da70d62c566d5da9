"""The `setup` section: the network with its heads, its losses, its learning rates."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from utils.config.schema.loss import LossConfig
from utils.config.schema.types import (
    BelowOne,
    FivePositive,
    Frames,
    NonNegativeFloat,
    PositiveInt,
    Scale,
    Scales,
    Section,
    SkipChannels,
    TaskName,
    UpsamplingCount,
)

Backbone = Literal["resnet18", "resnet50", "resnet101"]
Dilation = tuple[bool, bool, bool]
UNDILATED = ("resnet18", "resnet34")  # their blocks of two convolutions have no dilated form
SourceOrder = dict[TaskName, list[TaskName]] | None
AblationWord = Literal["SxTAM", "SA", "add", "prod", "no_alpha", "full_sa"]
UNDEFINED_WORDS = ("CxTAM", "split")  # named by the published code without a working definition


class HeadKwargs(Section):
    """Options of a decoder head; a head ignores those of the other kind."""

    num_out_ch: PositiveInt = Field(description="Channels of the prediction.")
    active_scales: Scales = Field([0], description="Levels that predict; 0 is the final output.")
    num_ch_dec: FivePositive = Field([64, 128, 128, 256, 256], description="Channels of levels 0 to 4.")
    aspp_rates: list[PositiveInt] = Field([6, 12, 18], min_length=1, description="Dilations of the ASPP.")
    intermediate_aspp: bool = Field(False, description="Enter the decoder through an ASPP.")
    aspp_pooling: bool = Field(True, description="Give the ASPP a branch that pools the image.")
    is_regression: bool = Field(False, description="Predict a sigmoid's output, as disparity is.")
    use_skips: bool = Field(True, description="Concatenate the encoder's features.")
    n_upconv: UpsamplingCount = Field(4, description="Level at which the decoder starts.")
    batch_norm: bool = Field(False, description="Batch norm in the decoder's blocks.")
    dropout: BelowOne = Field(0.0, description="Share of channels dropped in the decoder's blocks.")
    n_project_skip_ch: SkipChannels = Field(-1, description="Channels to which skip features are projected; -1: none.")


class TaskConfig(Section):
    """One task's decoder."""

    head: Literal["padnet+", "deeplab"] = Field("padnet+", description="Kind of decoder.")
    auxiliary: bool = Field(False, description="PAD-Net: predicted first, not in the end.")
    kwargs: HeadKwargs = Field(description="Options of the head.")


class PoseConfig(Section):
    pose_model_input: Literal["pairs", "all"] = Field("pairs", description="Frames of one input.")
    frame_ids: Frames | None = Field(None, description="Frames of its input; default: data.frame_ids.")
    provide_uncropped_for_pose: bool = Field(False, description="Input the frames before the crop.")
    freeze: bool = Field(False, description="Keep its weights.")


class ModelConfig(Section):
    backbone: Backbone = Field("resnet101", description="The encoder.")
    use_dilation: Dilation | None = Field(
        None, description="Stages dilated instead of strided; default: the last, where the backbone has that."
    )
    pretrain: str = Field("imnet", description="Weights to start from: imnet, a file, an archive, none (or null).")
    feature_dist: bool = Field(False, description="SDE: stay near the ImageNet features.")
    freeze_backbone: bool = Field(False, description="Keep the encoder's weights.")
    pose_kwargs: PoseConfig | None = Field(None, description="SDE: the pose network.")
    tasks: dict[TaskName, TaskConfig] = Field(min_length=1, description="The heads, in the order of exchange.")

    @field_validator("use_dilation", mode="before")
    @classmethod
    def _false_is_none_dilated(cls, value: Any) -> Any:
        if value is True:
            raise ValueError("say which of the last three stages are dilated, such as [False, False, True]")
        return (False, False, False) if value is False else value

    @field_validator("pretrain", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return "none" if value is None else value

    @property
    def dilation(self) -> Dilation:
        """Which of the last three stages are dilated."""
        return self.use_dilation or (False, False, self.backbone not in UNDILATED)

    @property
    def output_stride(self) -> int:
        """Image pixels per position of the encoder's last feature map, along each axis."""
        return 32 >> sum(self.dilation)


class SetupKwargs(Section):
    ablation: list[AblationWord] = Field(["SxTAM", "SA", "add"], description="Parts of the exchange.")
    enc_layers: list[list[Scale]] = Field([[4, 3, 2, 1], [0]], description="Levels of each decoder section.")
    stages: list[Scale] = Field([1], description="Levels after which features are exchanged.")
    source_order: SourceOrder = Field(None, description="Order of sources by target, for published weights.")

    @field_validator("ablation", mode="before")
    @classmethod
    def _words_are_defined(cls, words: Any) -> Any:
        undefined = [word for word in words if word in UNDEFINED_WORDS] if isinstance(words, list) else []
        if undefined:
            raise ValueError(f"{', '.join(undefined)}: named by the published code without a working definition")
        return words

    @model_validator(mode="after")
    def _words_go_together(self):
        if "SxTAM" not in self.ablation and "SA" not in self.ablation:
            raise ValueError(f"ablation: the exchange needs at least one of SxTAM and SA, got {self.ablation}")
        if "add" in self.ablation and "prod" in self.ablation:
            raise ValueError("ablation: 'add' and 'prod' exclude each other")
        return self


SetupName = Literal[
    "baseline", "padnet", "padnet+", "3ways", "ours-cxatt", "ours",
    "baseline_monodepth", "padnet_monodepth", "padnet+_monodepth", "3ways_monodepth", "ours-cxatt_monodepth",
    "ours_monodepth",
]  # fmt: skip
Method = Literal["baseline", "padnet", "padnet+", "ours-cxatt"]


class SetupConfig(Section):
    """The network, its losses and learning rates."""

    name: SetupName = Field(description="The multi-task network; `_monodepth` learns depth from video (SDE).")
    model: ModelConfig = Field(description="Encoder and heads.")
    kwargs: SetupKwargs = Field(SetupKwargs(), description="Options of the exchange between decoders.")
    loss: LossConfig = Field(description="The losses.")
    lr: dict[str, NonNegativeFloat] = Field(description="Learning rates: `default` and any group of parameters.")

    @model_validator(mode="after")
    def _has_default_rate(self):
        if "default" not in self.lr:
            raise ValueError("lr needs 'default', the learning rate of all parameters not named")
        return self

    @property
    def method(self) -> Method:
        """The multi-task network, without suffix and with one name each."""
        methods: dict[str, Method] = {
            "baseline": "baseline", "padnet": "padnet", "padnet+": "padnet+", "3ways": "padnet+",
            "ours": "ours-cxatt", "ours-cxatt": "ours-cxatt",
        }  # fmt: skip
        return methods[self.name.removesuffix("_monodepth")]

    @property
    def is_video_depth(self) -> bool:
        """Whether depth is learned from neighbouring video frames (SDE)."""
        return self.name.endswith("_monodepth")

    @property
    def tasks(self) -> tuple[TaskName, ...]:
        """The tasks in their declared order, which is the order of channels in an exchange."""
        return tuple(self.model.tasks)

    def output_scales(self, task: TaskName) -> tuple[int, ...]:
        """The scales at which the network predicts a task."""
        head = self.model.tasks[task]
        if self.method == "padnet":
            return (2,) if head.auxiliary else (2, 0)
        return (0,) if head.head == "deeplab" else tuple(head.kwargs.active_scales)
