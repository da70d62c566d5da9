"""The typed sections of an experiment file: names, types, defaults and the checks that need one section only.

Checks across sections are in `utils/crosscheck.py`; reading, merging and error messages in `utils/config.py`.
Every key of a published DenseMTL experiment file has its place here; a key that no longer has an effect says so.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

TASKS = ("semseg", "depth", "disp", "normals", "edges")

TaskName = Literal["semseg", "depth", "disp", "normals", "edges"]
DatasetName = Literal["cityscapes", "synthia", "vkitti2", "nyudv2"]
Probability = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[int, Field(ge=0, le=4)]


class Section(BaseModel):
    """A config section: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AugmentationConfig(Section):
    random_horizontal_flip: Probability = 0.0
    color_aug: bool = False


class SubsetConfig(Section):
    """Which training images keep their labels: `n_subset` drawn with the dataset seed, or the listed indices."""

    mode: Literal["random", "fixed"] = "random"
    n_subset: PositiveInt | None = None
    subset: list[NonNegativeInt] | None = None

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self):
        if self.mode == "random" and self.n_subset is None:
            raise ValueError("mode 'random' needs n_subset, the number of labelled images")
        if self.mode == "fixed" and not self.subset:
            raise ValueError("mode 'fixed' needs subset, the list of indices of labelled images")
        return self


class DatasetConfig(Section):
    """One dataset on disk and how its samples are cut."""

    dataset: DatasetName
    path: str
    n_classes: PositiveInt
    dataset_seed: int = 42
    width: PositiveInt
    height: PositiveInt
    crop_w: PositiveInt | None = None
    crop_h: PositiveInt | None = None
    crop_center: bool = False
    frame_ids: list[int] = [0]
    num_scales: PositiveInt = 1
    load_sequences: bool = False
    load_semantic_gt: bool = True
    only_sequences_with_segmentation: bool = True
    val_only_sequences_with_segmentation: bool = True
    restrict_to_subset: SubsetConfig | None = None
    load_labeled: bool = True
    load_unlabeled: bool = True
    num_val_samples: PositiveInt | None = None
    val_split: str = "val"
    variations: list[str] = ["15-deg-left"]  # vkitti2
    split_by: Literal["frame", "scene"] = "frame"  # vkitti2
    inverse_depth: bool = True  # no effect: datasets give metres, the loss converts
    max_percentile: float | None = None  # no effect
    load_onehot: bool = False  # no effect: losses take train ids
    color_full_scale: bool | None = None  # no effect: every file is decoded once, at its own size
    val_downsample_gt: bool = True  # no effect: validation runs at width x height
    augmentations: AugmentationConfig = AugmentationConfig()

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of a training sample, after resize and crop."""
        return self.crop_h or self.height, self.crop_w or self.width

    @model_validator(mode="after")
    def _is_consistent(self):
        if (self.crop_h or self.height) > self.height or (self.crop_w or self.width) > self.width:
            raise ValueError(
                f"the crop {self.crop_w or self.width}x{self.crop_h or self.height} is larger than "
                f"the resized image {self.width}x{self.height} (width x height)"
            )
        if 0 not in self.frame_ids or len(set(self.frame_ids)) != len(self.frame_ids):
            raise ValueError(f"frame_ids must hold 0 (the labelled frame) and each offset once, got {self.frame_ids}")
        return self


class DataConfig(Section):
    """The `data` section: one dataset or, for domain adaptation, a labelled source and an unlabelled target."""

    train_bs: PositiveInt
    valid_bs: PositiveInt
    n_valid_logged: NonNegativeInt = 0
    n_train_logged: NonNegativeInt = 0
    src_split: Literal["train", "all"] = "all"
    tgt_split: Literal["train", "all"] = "train"
    source: DatasetConfig
    target: DatasetConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _share_common_keys(cls, data: Any) -> Any:
        """Dataset keys may stand in `data` itself (one dataset), or be shared there by `source` and `target`."""
        if not isinstance(data, dict):
            return data
        own = {key: data[key] for key in cls.model_fields if key in data}
        shared = {key: value for key, value in data.items() if key not in cls.model_fields}
        for role in ("source", "target"):
            given = data.get(role)
            if given is None and role == "source":
                given = {}
            if isinstance(given, dict):
                own[role] = {**shared, **given}
        return own

    @property
    def validation(self) -> DatasetConfig:
        """The dataset whose validation split measures the model: the target where there is one."""
        return self.target or self.source


class AdaptationConfig(Section):
    """Adversarial domain adaptation."""

    doda: bool | NonNegativeInt = True  # adapt: a flag, or the step from which to
    lr_D: PositiveFloat = 1e-4
    ent_align: list[Scale] = [0]
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
    seed: int = 42
    shuffle_trainset: bool = True
    iterations: PositiveInt
    max_iterations: PositiveInt | None = None  # horizon of the discriminators' poly schedule; default: iterations
    accumulate: PositiveInt = 1
    use_amp: bool = False
    amp_dtype: Literal["bfloat16", "float16"] = "bfloat16"
    channels_last: bool = True
    compile: bool = False
    sync_bn: bool = False
    activation_checkpointing: bool = False
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
    active_scales: list[Scale] = [0]
    num_ch_dec: list[PositiveInt] = Field(default=[64, 128, 128, 256, 256], min_length=5, max_length=5)
    aspp_rates: list[PositiveInt] = [6, 12, 18]
    intermediate_aspp: bool = False
    aspp_pooling: bool = True
    is_regression: bool = False
    use_skips: bool = True
    n_upconv: Annotated[int, Field(ge=1, le=4)] = 4
    batch_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    n_project_skip_ch: int = -1


class TaskConfig(Section):
    head: Literal["padnet+", "deeplab"] = "padnet+"
    auxiliary: bool = False
    kwargs: HeadKwargs


class PoseConfig(Section):
    pose_model_input: Literal["pairs", "all"] = "pairs"
    frame_ids: list[int] | None = None  # default: data.frame_ids
    provide_uncropped_for_pose: bool = False
    freeze: bool = False


class ModelConfig(Section):
    backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet101"
    use_dilation: bool = True
    pretrain: str = "imnet"
    feature_dist: bool = False
    freeze_backbone: bool = False
    pose_kwargs: PoseConfig | None = None
    tasks: dict[TaskName, TaskConfig] = Field(min_length=1)


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
    betas: tuple[Probability, Probability] | None = None
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
    frame_ids: list[int] | None = None
    num_scales: PositiveInt | None = None  # no effect, like the next four: sizes come from the batch
    batch_size: PositiveInt | None = None
    width: PositiveInt | None = None
    height: PositiveInt | None = None
    crop_w: PositiveInt | None = None
    crop_h: PositiveInt | None = None


class TaskLossConfig(Section):
    name: Literal["cross_entropy", "berhu", "L1_depth", "normals", "gt_normals", "edges", "ssde"]
    weight: NonNegativeFloat | list[NonNegativeFloat] = 1.0
    scales: list[Scale] = Field(default=[0], min_length=1)
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
