"""The datasets that an experiment reads, and with which options."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from dataset.base import DenseDataset
from dataset.build import DatasetUse, build_dataset
from dataset.prepare.store import NotPrepared
from utils.config.load import Experiment
from utils.config.schema import Config
from utils.config.schema.data import DatasetConfig


def training_use(config: Config) -> DatasetUse:
    """The labelled training images: of the source where there is a target."""
    split = "train" if config.data.target is None else config.data.src_split
    return dataset_use(config, config.data.source, split=split, training=True)


def target_use(config: Config) -> DatasetUse | None:
    """The unlabelled training images of the target; None where nothing is adapted."""
    da = config.training.da
    if da is None or da.start is None or config.data.target is None:
        return None
    return dataset_use(config, config.data.target, split=config.data.tgt_split, training=True, tasks=())


def validation_use(config: Config) -> DatasetUse:
    """The images that measure the network: of the target where there is one."""
    return dataset_use(config, config.data.validation, split="val", training=False)


def dataset_use(
    config: Config, cfg: DatasetConfig, *, split: str, training: bool, tasks: tuple[str, ...] | None = None
) -> DatasetUse:
    """A dataset of the experiment with the maps that `tasks` (default: the network's) need."""
    tasks = config.setup.tasks if tasks is None else tasks
    data = config.data
    section = "data" if data.target is None else "data.target" if cfg is data.target else "data.source"
    return DatasetUse(cfg=cfg, section=section, split=split, tasks=tasks, training=training)


@dataclass(frozen=True)
class Datasets:
    """All that training reads; `target` is None where nothing is adapted."""

    train: DenseDataset
    target: DenseDataset | None
    validation: DenseDataset


def open_datasets(experiment: Experiment) -> Datasets:
    """All that training reads; raises what `open_dataset` does."""
    return make_datasets(experiment.config, lambda use: open_dataset(experiment, use))


def make_datasets(config: Config, make: Callable[[DatasetUse], DenseDataset]) -> Datasets:
    """All that training reads, each made by `make`."""
    target = target_use(config)
    return Datasets(
        train=make(training_use(config)),
        target=None if target is None else make(target),
        validation=make(validation_use(config)),
    )


def open_dataset(experiment: Experiment, use: DatasetUse) -> DenseDataset:
    """A dataset of the experiment.

    Raises:
        UserError: It is not there or not as it should be; or what is prepared of it is not, with the command that
            prepares it again.
    """
    config = experiment.config
    try:
        uncropped = use.training and pose_sees_uncropped(config)
        return build_dataset(use, seed=config.training.seed, uncropped_frames=uncropped)
    except NotPrepared as error:
        command = shlex.join(["python", "-m", "dataset.prepare", *experiment.arguments])
        raise NotPrepared(f"{error}; renew it:\n  {command}") from error


def pose_sees_uncropped(config: Config) -> bool:
    """Whether the pose network sees video frames before their crop."""
    pose = config.setup.model.pose_kwargs
    return config.setup.is_video_depth and pose is not None and pose.provide_uncropped_for_pose
