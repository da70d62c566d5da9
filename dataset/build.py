"""From the `data` section of an experiment file to a dataset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.base import DenseDataset
from dataset.cityscapes import Cityscapes
from dataset.files import DatasetFiles
from dataset.labels import label_set
from dataset.nyudv2 import NYUDv2
from dataset.prepare.store import PreparedStore
from dataset.source import FileSource
from dataset.splits import evenly_spaced, fixed_subset, random_subset
from dataset.synthia import Synthia
from dataset.transform import Transform
from dataset.vkitti2 import VKitti2
from utils.config.schema.data import DATASETS, DatasetConfig
from utils.console import LOGGER
from utils.errors import UserError

_DATASETS: dict[str, type[DatasetFiles]] = {
    "cityscapes": Cityscapes,
    "synthia": Synthia,
    "vkitti2": VKitti2,
    "nyudv2": NYUDv2,
}


@dataclass(frozen=True, kw_only=True)
class DatasetUse:
    """What is read of a dataset.

    Args:
        cfg: the dataset, and how its samples are cut.
        section: where the config describes it, for messages.
        split: "train", "val" (`cfg.val_split`) or "all". Only "val" is cut down to `num_val_samples`, and only the
            others to the labelled subset.
        tasks: whose maps are read. Depth also serves normals where none are stored, and validates `disp`.
        training: whether samples are cropped at random, flipped and jittered, and video frames read, as configured.
    """

    cfg: DatasetConfig
    section: str = "data"
    split: str
    tasks: tuple[str, ...]
    training: bool

    @property
    def frames(self) -> tuple[int, ...]:
        """Offsets of the video frames to read."""
        return tuple(self.cfg.frame_ids) if self.cfg.load_sequences and self.training else ()

    @property
    def maps(self) -> tuple[str, ...]:
        """The kinds of map to read; `disp` is measured against depth, but trained without."""
        facts = DATASETS[self.cfg.dataset]
        tasks = [task for task in self.tasks if not (self.training and task == "disp")]
        return tuple(dict.fromkeys(facts.map_of(task) for task in tasks))


def build_dataset(use: DatasetUse, *, seed: int, uncropped_frames: bool = False) -> DenseDataset:
    """One split of a dataset.

    Args:
        use: what to read.
        seed: of what is random about samples.
        uncropped_frames: also give the video frames before the crop.

    Raises:
        UserError: The dataset is not on disk, lacks the labels, or no sample is left.
        NotPrepared: What `cfg.prepared` holds is not what the files now are, or lacks some of it.
    """
    cfg = use.cfg
    files, everything = list_samples(use)
    names, labelled = _selected(use, files, everything)
    require_samples(use, files, names)
    with _at(f"{use.section}.prepared"):
        source = FileSource(
            files=files,
            labels=label_set(cfg.dataset, cfg.n_classes),
            names=names,
            labelled=labelled,
            width=cfg.width,
            height=cfg.height,
            frames=use.frames,
            prepared=None if cfg.prepared is None else prepared_store(cfg.prepared, cfg, files),
        )
    return DenseDataset(
        source=source,
        transform=build_transform(use),
        seed=seed,
        num_scales=cfg.num_scales,
        uncropped_frames=uncropped_frames,
    )


def list_samples(use: DatasetUse) -> tuple[DatasetFiles, list[str]]:
    """The dataset on disk and all samples of the split, whatever part of them is used; raises as `build_dataset`."""
    cfg, split = use.cfg, use.split
    splits = _DATASETS[cfg.dataset].splits
    if split == "val":
        if splits is not None and cfg.val_split not in splits:
            message = f"{cfg.dataset} is split into {', '.join(splits)}, got {cfg.val_split!r}"
            raise UserError(f"{use.section}.val_split: {message}")
        split = cfg.val_split
    with _at(f"{use.section}.path"):
        files = _open_files(use)
        return files, files.names(split, seed=cfg.dataset_seed)


def require_samples(use: DatasetUse, files: DatasetFiles, names: Sequence[str]) -> None:
    """
    Raises:
        UserError: There are none.
    """
    if not names:
        raise UserError(
            f"{use.section}.path: no sample of the split {use.split!r} of {use.cfg.dataset} in {files.root}"
        )


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Puts the config key that a mistake is about before its message."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{key}: {error}") from error


def prepared_store(base: str, cfg: DatasetConfig, files: DatasetFiles) -> PreparedStore:
    """Where the dataset's prepared arrays are below the folder `base`."""
    folder = Path(base) / f"{cfg.dataset}_{cfg.width}x{cfg.height}"
    return PreparedStore(folder=folder, root=files.root, width=cfg.width, height=cfg.height)


def _open_files(use: DatasetUse) -> DatasetFiles:
    cfg, root = use.cfg, Path(use.cfg.path)
    if cfg.dataset == "cityscapes":
        return Cityscapes(
            root=root,
            maps=use.maps,
            width=cfg.width,
            height=cfg.height,
            sequences=bool(use.frames),
            annotated_only=cfg.only_sequences_with_segmentation,
        )
    if cfg.dataset == "vkitti2":
        return VKitti2(root=root, maps=use.maps, variations=cfg.variations, split_by=cfg.split_by)
    return _DATASETS[cfg.dataset](root=root, maps=use.maps)


def _selected(use: DatasetUse, files: DatasetFiles, names: list[str]) -> tuple[list[str], np.ndarray]:
    """The samples to use, and bool [N] which of them give labels."""
    cfg, validation = use.cfg, use.split == "val"
    labelled = np.array([files.is_annotated(name) for name in names], bool)
    keep = np.ones(len(names), bool)
    if not validation:
        # Drawn before samples without neighbours leave: the same images, whatever sequences are on disk.
        labelled &= _subset(use, labelled)
        keep &= (labelled & cfg.load_labeled) | (~labelled & cfg.load_unlabeled)
    if use.frames:
        complete = np.array([files.has_frames(name, use.frames) for name in names], bool)
        if not complete[keep].all():
            LOGGER.warning(
                "%s: %d of %d samples left out, as a neighbouring frame (frame_ids %s) is not on disk",
                files.root, np.count_nonzero(~complete[keep]), np.count_nonzero(keep), list(use.frames),
            )  # fmt: skip
        keep &= complete
    chosen = np.flatnonzero(keep)
    if validation and cfg.num_val_samples is not None:
        chosen = chosen[evenly_spaced(len(chosen), cfg.num_val_samples)]
    return [names[i] for i in chosen], labelled[chosen] & cfg.load_semantic_gt


def _subset(use: DatasetUse, annotated: np.ndarray) -> np.ndarray:
    """Bool [N], which samples keep their labels."""
    subset, key = use.cfg.restrict_to_subset, f"{use.section}.restrict_to_subset"
    if subset is None:
        return annotated
    if subset.mode == "fixed":
        with _at(f"{key}.subset"):
            return fixed_subset(annotated, indices=subset.subset or ())
    with _at(f"{key}.n_subset"):
        return random_subset(annotated, size=subset.n_subset or 0, seed=use.cfg.dataset_seed)


def build_transform(use: DatasetUse) -> Transform:
    """How samples are cut: without chance in validation, where only `crop_center` crops."""
    cfg = use.cfg
    height, width = cfg.output_size
    crops = (width, height) != (cfg.width, cfg.height)
    return Transform(
        width=cfg.width,
        height=cfg.height,
        crop_width=width,
        crop_height=height,
        crop="none" if not crops else "center" if cfg.crop_center else "random" if use.training else "none",
        flip=cfg.augmentations.random_horizontal_flip if use.training else 0.0,
        jitter=use.training and cfg.augmentations.color_aug,
    )
