"""From the `data` section of an experiment file to a dataset."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.base import DenseDataset
from dataset.cityscapes import Cityscapes
from dataset.files import DatasetFiles
from dataset.labels import LabelSet, label_set
from dataset.nyudv2 import NYUDv2
from dataset.prepare.store import NotPrepared, PreparedStore
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


def build_dataset(
    cfg: DatasetConfig,
    *,
    split: str,
    tasks: tuple[str, ...],
    training: bool,
    seed: int,
    section: str = "data",
    sequences: bool = True,
    uncropped_frames: bool = False,
) -> DenseDataset:
    """The dataset of one split.

    Args:
        cfg: the dataset and how its samples are cut.
        split: "train", "val" (`cfg.val_split`) or "all". Only "val" is cut down to `num_val_samples`, and only the
            others to the labelled subset.
        tasks: the tasks to load maps for. Depth also serves normals where none are stored, and validates `disp`.
        training: whether samples are cropped at random, flipped and jittered as configured.
        seed: of that randomness.
        section: the config section `cfg` comes from, for messages.
        sequences: false leaves video frames out although `cfg.load_sequences` asks for them.
        uncropped_frames: also give the video frames before the crop.

    Raises:
        ValueError: Unknown split.
        UserError: The dataset is not on disk, has no such labels, tasks or frames, or no sample is left.
        NotPrepared: What `cfg.prepared` holds is not what the files now are, or lacks some of it.
    """
    listing = list_samples(cfg, split=split, tasks=tasks, training=training, section=section, sequences=sequences)
    with _named(section):
        names, labelled = _selected(cfg, listing, validation=split == "val")
    if not names:
        raise UserError(f"{section}.path: no sample of the split {split!r} of {cfg.dataset} in {listing.files.root}")
    return DenseDataset(
        source=_source(cfg, listing, names, labelled, section),
        labels=listing.files.labels,
        transform=build_transform(cfg, training=training),
        seed=seed,
        num_scales=cfg.num_scales,
        uncropped_frames=uncropped_frames,
    )


@dataclass(frozen=True)
class Listing:
    """A split as it is on disk: the dataset's files, all its samples, and the video frames to load with each."""

    files: DatasetFiles
    names: list[str]
    frames: tuple[int, ...]


def list_samples(
    cfg: DatasetConfig, *, split: str, tasks: tuple[str, ...], training: bool, section: str, sequences: bool
) -> Listing:
    """All samples of one split, whatever part of them is used; arguments and errors as in `build_dataset`."""
    if split not in ("train", "val", "all"):
        raise ValueError(f"split must be 'train', 'val' or 'all', got {split!r}")
    frames = tuple(cfg.frame_ids) if cfg.load_sequences and sequences else ()
    with _named(section):
        labels = label_set(cfg.dataset, cfg.n_classes)
        maps = needed_maps(cfg, tasks, training=training)
        files, names = _listed(cfg, labels, maps, split=split, video=bool(frames))
    return Listing(files, names, frames)


@contextmanager
def _named(section: str) -> Iterator[None]:
    """Puts the config section before the key that a user's mistake names."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{section}.{error}") from error


def _source(cfg: DatasetConfig, listing: Listing, names: list[str], labelled: np.ndarray, section: str) -> FileSource:
    """Where the arrays come from: the files, or what was prepared of them."""
    try:
        return FileSource(
            files=listing.files,
            names=names,
            labelled=labelled,
            width=cfg.width,
            height=cfg.height,
            frames=listing.frames,
            prepared=prepared_store(cfg, listing.files),
        )
    except NotPrepared as error:
        raise NotPrepared(f"{section}.prepared: {error}") from error


def prepared_store(cfg: DatasetConfig, files: DatasetFiles) -> PreparedStore | None:
    """Where the dataset's prepared arrays are; None where it is read from its files."""
    if cfg.prepared is None:
        return None
    base = Path(cfg.prepared)
    return PreparedStore(base, dataset=cfg.dataset, root=files.root, width=cfg.width, height=cfg.height)


def needed_maps(cfg: DatasetConfig, tasks: tuple[str, ...], *, training: bool) -> tuple[str, ...]:
    """The kinds of map that the tasks need of this dataset; `disp` is measured against depth, but trained without."""
    facts = DATASETS[cfg.dataset]
    return tuple(dict.fromkeys(facts.map_of(task) for task in tasks if not (training and task == "disp")))


def _listed(
    cfg: DatasetConfig, labels: LabelSet, maps: tuple[str, ...], *, split: str, video: bool
) -> tuple[DatasetFiles, list[str]]:
    """The dataset on disk and all samples of the split."""
    splits = _DATASETS[cfg.dataset].splits
    if split == "val" and splits is not None and cfg.val_split not in splits:
        raise UserError(f"val_split: {cfg.dataset} is split into {', '.join(splits)}, got {cfg.val_split!r}")
    try:
        files = _open_files(cfg, labels, maps, video=video, validation=split == "val")
        return files, files.names(cfg.val_split if split == "val" else split, seed=cfg.dataset_seed)
    except UserError as error:
        raise UserError(f"path: {error}") from error


def _open_files(
    cfg: DatasetConfig, labels: LabelSet, maps: tuple[str, ...], *, video: bool, validation: bool
) -> DatasetFiles:
    root = Path(cfg.path)
    if cfg.dataset == "cityscapes":
        only = cfg.val_only_sequences_with_segmentation if validation else cfg.only_sequences_with_segmentation
        return Cityscapes(
            root=root,
            labels=labels,
            maps=maps,
            width=cfg.width,
            height=cfg.height,
            sequences=video,
            annotated_only=only,
        )
    if cfg.dataset == "vkitti2":
        return VKitti2(root=root, labels=labels, maps=maps, variations=cfg.variations, split_by=cfg.split_by)
    return _DATASETS[cfg.dataset](root=root, labels=labels, maps=maps)


def _selected(cfg: DatasetConfig, listing: Listing, *, validation: bool) -> tuple[list[str], np.ndarray]:
    """The samples to use, and bool [N] which of them give labels."""
    files, names, frames = listing.files, listing.names, listing.frames
    labelled = np.array([files.is_annotated(name) for name in names], bool)
    keep = np.ones(len(names), bool)
    if not validation:
        # Drawn before samples without neighbours leave: the same images, whatever sequences are on disk.
        labelled &= _subset(cfg, labelled)
        keep &= (labelled & cfg.load_labeled) | (~labelled & cfg.load_unlabeled)
    if frames:
        complete = np.array([files.has_frames(name, frames) for name in names], bool)
        if not complete[keep].all():
            LOGGER.warning(
                "%s: %d of %d samples left out, as a neighbouring frame (frame_ids %s) is not on disk",
                files.root, np.count_nonzero(~complete[keep]), np.count_nonzero(keep), list(frames),
            )  # fmt: skip
        keep &= complete
    chosen = np.flatnonzero(keep)
    if validation and cfg.num_val_samples is not None:
        chosen = chosen[evenly_spaced(len(chosen), cfg.num_val_samples)]
    return [names[i] for i in chosen], labelled[chosen] & cfg.load_semantic_gt


def _subset(cfg: DatasetConfig, annotated: np.ndarray) -> np.ndarray:
    """Bool [N], which samples keep their labels."""
    subset = cfg.restrict_to_subset
    if subset is None:
        return annotated
    if subset.mode == "fixed":
        return fixed_subset(annotated, indices=subset.subset)
    return random_subset(annotated, size=subset.n_subset, seed=cfg.dataset_seed)


def build_transform(cfg: DatasetConfig, *, training: bool) -> Transform:
    """How samples are cut: without chance in validation, where only `crop_center` crops."""
    height, width = cfg.output_size
    crops = (width, height) != (cfg.width, cfg.height)
    if crops and cfg.crop_center:
        crop = "center"
    else:
        crop = "random" if crops and training else "none"
    return Transform(
        width=cfg.width,
        height=cfg.height,
        crop_width=width,
        crop_height=height,
        crop=crop,
        flip=cfg.augmentations.random_horizontal_flip if training else 0.0,
        jitter=training and cfg.augmentations.color_aug,
    )
