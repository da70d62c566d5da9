"""The `data` section of an experiment file: one dataset or, for domain adaptation, a source and a target."""

from typing import Any, Literal

from pydantic import model_validator

from utils.config.types import DatasetName, FolderName, Integer, NonNegativeInt, PositiveInt, Probability, Section


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
    prepared: FolderName | None = None  # with what `python -m dataset.prepare` made of the files
    n_classes: PositiveInt
    dataset_seed: Integer = 42
    width: PositiveInt
    height: PositiveInt
    crop_w: PositiveInt | None = None
    crop_h: PositiveInt | None = None
    crop_center: bool = False
    frame_ids: list[Integer] = [0]
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
