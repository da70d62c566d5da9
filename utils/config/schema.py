"""The typed sections of an experiment file: names, types, defaults and the checks that need one section only.

Checks across sections are in `utils/config/checks.py`; reading, merging and error messages in `utils/config/load.py`.
Every key of a published DenseMTL experiment file has its place here; a key that no longer has an effect says so.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from utils.config.schema_data import AugmentationConfig as AugmentationConfig
from utils.config.schema_data import DataConfig as DataConfig
from utils.config.schema_data import DatasetConfig as DatasetConfig
from utils.config.schema_data import SubsetConfig as SubsetConfig
from utils.config.types import (
    NUMBER,
    BelowOne,
    Integer,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Scale,
    Scales,
    Section,
    TaskName,
)
from utils.config.types import DatasetName as DatasetName


class AdaptationConfig(Section):
    """Adversarial domain adaptation."""

    doda: bool | NonNegativeInt = True  # adapt: a flag, or the step from which to
    lr_D: PositiveFloat = 1e-4
    ent_align: Scales = [0]
    lambda_adv_ent: NonNegativeFloat = 0.005
    lambda_disc_ent: NonNegativeFloat = 1.0

    @property
    def start(self) -> int | None:
        """First step (counted from 1) that adapts; None for never."""
        if self.doda is False:
            return None
        return max(1, int(self.doda))


class TrainingConfig(Section):
    logdir: str
    n_workers: NonNegativeInt = 4
    seed: Integer = 42
    shuffle_trainset: bool = True
    iterations: PositiveInt
    max_iterations: PositiveInt | None = None  # horizon of the discriminators' poly schedule; default: iterations
    accumulate: PositiveInt = 1
    use_amp: bool = False
    amp_dtype: Literal["bfloat16", "float16"] = "bfloat16"
    channels_last: bool | None = None  # default: on, except for evaluation and prediction on a GPU
    compile: bool = False
    sync_bn: bool = False
    activation_checkpointing: bool = False  # compute activations again in the backward pass: less memory, more time
    allow_world_size_change: bool = False
    benchmark: bool = True  # cudnn.benchmark
    detect_anomaly: bool = False
    print_interval: PositiveInt = 100
    val_interval: dict[NonNegativeInt, PositiveInt] = {0: 1000}
    checkpoint_interval: PositiveInt = 1000
    save_model: bool = True
    save_finished_model: bool = True
    resume: str | bool | None = None  # no effect: --resume
    da: AdaptationConfig | None = None

    @model_validator(mode="after")
    def _starts_at_zero(self):
        if 0 not in self.val_interval:
            raise ValueError(
                f"val_interval must say the interval from step 0, got the steps {sorted(self.val_interval)}"
            )
        return self


class HeadKwargs(Section):
    """Options of a decoder head; those a head has no use for are ignored by it."""

    num_out_ch: PositiveInt
    active_scales: Scales = [0]
    num_ch_dec: list[PositiveInt] = Field(default=[64, 128, 128, 256, 256], min_length=5, max_length=5)
    aspp_rates: list[PositiveInt] = [6, 12, 18]
    intermediate_aspp: bool = False
    aspp_pooling: bool = True
    is_regression: bool = False
    use_skips: bool = True
    n_upconv: Annotated[int, NUMBER, Field(ge=1, le=4)] = 4
    batch_norm: bool = False
    dropout: BelowOne = 0.0
    n_project_skip_ch: Integer = -1


class TaskConfig(Section):
    head: Literal["padnet+", "deeplab"] = "padnet+"
    auxiliary: bool = False
    kwargs: HeadKwargs


class PoseConfig(Section):
    pose_model_input: Literal["pairs", "all"] = "pairs"
    frame_ids: list[Integer] | None = None  # default: data.frame_ids
    provide_uncropped_for_pose: bool = False  # it sees the frames before the crop
    freeze: bool = False


class ModelConfig(Section):
    backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet101"
    use_dilation: bool = True
    pretrain: str = "imnet"
    feature_dist: bool = False
    freeze_backbone: bool = False
    pose_kwargs: PoseConfig | None = None
    tasks: dict[TaskName, TaskConfig] = Field(min_length=1)

    @property
    def output_stride(self) -> int:
        """Pixels of the image beside each other for one of the encoder's last feature."""
        return 16 if self.use_dilation else 32


class SetupKwargs(Section):
    ablation: list[str] = ["SxTAM", "SA", "add"]
    enc_layers: list[list[Scale]] = [[4, 3, 2, 1], [0]]
    stages: list[Scale] = [1]
    source_order: dict[TaskName, list[TaskName]] | None = None


SetupName = Literal[
    "baseline", "padnet", "padnet+", "3ways", "ours-cxatt", "ours",
    "baseline_monodepth", "padnet_monodepth", "padnet+_monodepth", "3ways_monodepth", "ours-cxatt_monodepth",
    "ours_monodepth",
]  # fmt: skip


class SetupConfig(Section):
    name: SetupName
    model: ModelConfig
    kwargs: SetupKwargs = SetupKwargs()
    lr: dict[str, NonNegativeFloat]

    @model_validator(mode="after")
    def _has_default_rate(self):
        if "default" not in self.lr:
            raise ValueError("lr needs 'default', the learning rate of all parameters not named")
        return self

    @property
    def method(self) -> Literal["baseline", "padnet", "padnet+", "ours-cxatt"]:
        """The multi-task network, without suffix and with one name each."""
        name = self.name.removesuffix("_monodepth")
        return {"3ways": "padnet+", "ours": "ours-cxatt"}.get(name, name)

    @property
    def is_video_depth(self) -> bool:
        """Whether depth is learned from neighbouring video frames (SDE)."""
        return self.name.endswith("_monodepth")

    @property
    def tasks(self) -> tuple[TaskName, ...]:
        """The tasks in their declared order, which is the order of channels in an exchange."""
        return tuple(self.model.tasks)


class OptimKwargs(Section):
    """Options of the optimizers; one that the chosen optimizer does not have is an error (crosscheck)."""

    momentum: NonNegativeFloat | None = None
    dampening: NonNegativeFloat | None = None
    nesterov: bool | None = None
    weight_decay: NonNegativeFloat | None = None
    betas: tuple[BelowOne, BelowOne] | None = None
    eps: PositiveFloat | None = None
    amsgrad: bool | None = None


class OptimConfig(Section):
    name: Literal["SGD", "Adam", "AdamW"]
    clip_grad_norm: NonNegativeFloat | None = None
    kwargs: OptimKwargs = OptimKwargs()


class SchedulerKwargs(Section):
    step_size: PositiveInt | None = None  # step
    milestones: list[PositiveInt] | None = None  # multistep
    gamma: PositiveFloat | None = None  # step, multistep
    max_iterations: PositiveInt | None = None  # poly, cosine; default: training.iterations
    power: PositiveFloat | None = None  # poly; default 0.9


class SchedulerConfig(Section):
    name: Literal["constant", "step", "multistep", "poly", "cosine"] = "constant"
    kwargs: SchedulerKwargs = SchedulerKwargs()


class LossKwargs(Section):
    """Options of the task losses; one that the chosen loss does not have is an error (crosscheck)."""

    # berhu, L1_depth, ssde: metric
    median_scaling: bool | None = None
    min_depth: NonNegativeFloat | None = None
    max_depth: PositiveFloat | None = None
    # normals
    from_inverse_depth: bool | None = None
    # edges
    pos_weight: Probability | None = None
    # ssde
    test_min_depth: NonNegativeFloat | None = None
    test_max_depth: PositiveFloat | None = None
    disparity_smoothness: NonNegativeFloat | None = None
    no_ssim: bool | None = None
    avg_reprojection: bool | None = None
    disable_automasking: bool | None = None
    frame_ids: list[Integer] | None = None
    num_scales: PositiveInt | None = None  # no effect, like the next four: sizes come from the batch
    batch_size: PositiveInt | None = None
    width: PositiveInt | None = None
    height: PositiveInt | None = None
    crop_w: PositiveInt | None = None
    crop_h: PositiveInt | None = None


class TaskLossConfig(Section):
    name: Literal["cross_entropy", "berhu", "L1_depth", "normals", "gt_normals", "edges", "ssde"]
    weight: NonNegativeFloat | list[NonNegativeFloat] = 1.0
    scales: Scales = [0]
    kwargs: LossKwargs = LossKwargs()

    def weight_of(self, scale: int) -> float:
        """Weight of the loss at one of `scales`."""
        return self.weight[self.scales.index(scale)] if isinstance(self.weight, list) else self.weight

    @model_validator(mode="after")
    def _one_weight_per_scale(self):
        if isinstance(self.weight, list) and len(self.weight) != len(self.scales):
            raise ValueError(f"weight lists {len(self.weight)} values for the {len(self.scales)} scales {self.scales}")
        return self


class MultiTaskKwargs(Section):
    """Single-task scores that delta_m compares with, and which of them are better lower (1) or higher (0)."""

    baselines: dict[TaskName, PositiveFloat] | None = None
    gammas: dict[TaskName, Literal[0, 1]] | None = None


class LossConfig(Section):
    tasks: dict[TaskName, TaskLossConfig] = Field(min_length=1)
    kwargs: MultiTaskKwargs = MultiTaskKwargs()


class Config(Section):
    """A whole experiment."""

    data: DataConfig
    training: TrainingConfig
    setup: SetupConfig
    optim: OptimConfig
    scheduler: SchedulerConfig = SchedulerConfig()
    loss: LossConfig
