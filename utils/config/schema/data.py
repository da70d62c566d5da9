"""The `data` section of an experiment file: one dataset or, for domain adaptation, a source and a target."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from utils.config.schema.types import FolderName, Integer, NonNegativeInt, PositiveInt, Probability, Section


@dataclass(frozen=True)
class DatasetFacts:
    """What a config may ask of a dataset."""

    n_classes: tuple[int, ...]  # class counts with a label set (the sets themselves: dataset/labels.py)
    stored: tuple[str, ...] = ("semseg", "depth")
    sequences: bool = False  # whether it has video around its frames

    def map_of(self, task: str) -> str:
        """The map of a task; disparity, and normals that are not stored, are compared with depth."""
        return "depth" if task in ("disp", "normals") and task not in self.stored else task


DATASETS: dict[str, DatasetFacts] = {
    "cityscapes": DatasetFacts(n_classes=(19, 16, 13, 8, 7), sequences=True),
    "synthia": DatasetFacts(n_classes=(16, 13, 8)),
    "vkitti2": DatasetFacts(n_classes=(14, 8)),
    "nyudv2": DatasetFacts(n_classes=(40,), stored=("semseg", "depth", "normals", "edges")),
}


def _known(name: str) -> str:
    if name not in DATASETS:
        raise ValueError(f"must be one of {', '.join(DATASETS)}, got '{name}'")
    return name


class AugmentationConfig(Section):
    random_horizontal_flip: Probability = Field(0.0, description="Probability of a horizontal flip.")
    color_aug: bool = Field(False, description="Change brightness, contrast, saturation and hue at random.")


class SubsetConfig(Section):
    """Which training images keep their labels: `n_subset` drawn with the dataset seed, or the listed indices."""

    mode: Literal["random", "fixed"] = Field("random", description="Draw n_subset images, or take those of subset.")
    n_subset: PositiveInt | None = Field(None, description="How many to draw.")
    subset: list[NonNegativeInt] | None = Field(None, description="Indices of images, counted from 0.")

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self):
        if self.mode == "random" and self.n_subset is None:
            raise ValueError("mode 'random' needs n_subset, the number of labelled images")
        if self.mode == "fixed" and not self.subset:
            raise ValueError("mode 'fixed' needs subset, the list of indices of labelled images")
        return self


class DatasetConfig(Section):
    """One dataset on disk and how its samples are cut."""

    dataset: Annotated[str, AfterValidator(_known)] = Field(description="Which dataset.")
    path: str = Field(description="Folder of the dataset.")
    prepared: FolderName | None = Field(None, description="Folder of its prepared form (`python -m dataset.prepare`).")
    n_classes: PositiveInt = Field(description="Number of classes; picks the label set.")
    dataset_seed: Integer = Field(42, description="Seed of splits and subsets.")
    width: PositiveInt = Field(description="Width to which images are resized.")
    height: PositiveInt = Field(description="Height to which images are resized.")
    crop_w: PositiveInt | None = Field(None, description="Width of the crop; default: the whole width.")
    crop_h: PositiveInt | None = Field(None, description="Height of the crop; default: the whole height.")
    crop_center: bool = Field(False, description="Crop the centre, also to validate; else at random, training only.")
    frame_ids: list[Integer] = Field([0], description="Offsets of the video frames to load; 0 is the labelled frame.")
    num_scales: PositiveInt = Field(1, description="Sizes (1, 1/2, 1/4 ...) of the frame that SDE needs.")
    load_sequences: bool = Field(False, description="Load neighbouring video frames.")
    load_semantic_gt: bool = Field(True, description="Load segmentation labels.")
    only_sequences_with_segmentation: bool = Field(True, description="Train on labelled frames only (SDE).")
    val_only_sequences_with_segmentation: bool = Field(True, description="No effect: validation takes labelled frames.")
    restrict_to_subset: SubsetConfig | None = Field(None, description="Which training images keep their labels.")
    load_labeled: bool = Field(True, description="Use the training images that keep their labels.")
    load_unlabeled: bool = Field(True, description="Use the training images that do not.")
    num_val_samples: PositiveInt | None = Field(None, description="Validate on so many, evenly spaced; default: all.")
    val_split: str = Field("val", description="Split that validates.")
    variations: list[str] = Field(["15-deg-left"], description="vkitti2: variations of every scene.")
    split_by: Literal["frame", "scene"] = Field("frame", description="vkitti2: the unit of the random split.")
    inverse_depth: bool = Field(True, description="No effect: datasets give metres, the loss converts.")
    max_percentile: float | None = Field(None, description="No effect.")
    load_onehot: bool = Field(False, description="No effect: losses take train ids.")
    color_full_scale: bool | None = Field(None, description="No effect: files are decoded once, at their own size.")
    val_downsample_gt: bool = Field(True, description="No effect: validation runs at width x height.")
    augmentations: AugmentationConfig = Field(AugmentationConfig(), description="Random changes of training images.")

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

    train_bs: PositiveInt = Field(description="Images per training batch and process.")
    valid_bs: PositiveInt = Field(description="Images per validation batch and process.")
    n_valid_logged: NonNegativeInt = Field(0, description="Validation samples drawn as panels.")
    n_train_logged: NonNegativeInt = Field(0, description="Training samples drawn as panels.")
    src_split: Literal["train", "all"] = Field("all", description="Split of the source (DA).")
    tgt_split: Literal["train", "all"] = Field("train", description="Split of the target that adapts (DA).")
    source: DatasetConfig = Field(description="The labelled dataset; its keys may stand in `data` itself.")
    target: DatasetConfig | None = Field(None, description="The unlabelled dataset to adapt to (DA).")

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
    def datasets(self) -> dict[str, DatasetConfig]:
        """Source and, where there is one, target."""
        return {"source": self.source} | ({"target": self.target} if self.target else {})

    @property
    def validation(self) -> DatasetConfig:
        """The dataset whose validation split measures the model: the target where there is one."""
        return self.target or self.source
