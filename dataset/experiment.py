"""The datasets that an experiment reads, and with which options."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from dataset.base import DenseDataset
from dataset.build import build_dataset
from dataset.prepare.store import NotPrepared
from utils.config.load import Experiment
from utils.config.schema import Config
from utils.config.schema.data import DatasetConfig

DatasetBuilder = Callable[..., DenseDataset]  # called as `build_dataset` is


@dataclass(frozen=True)
class DatasetUse:
    """One of the datasets that an experiment reads.

    Attributes:
        cfg: the dataset.
        section: where the config describes it.
        split: the split that is read.
        tasks: the tasks whose maps are read.
        training: whether samples are augmented, and video frames read where configured.
    """

    cfg: DatasetConfig
    section: str
    split: str
    tasks: tuple[str, ...]
    training: bool


def training_use(config: Config) -> DatasetUse:
    """The labelled training images: of the source where there is a target."""
    split = "train" if config.data.target is None else config.data.src_split
    return dataset_use(config, config.data.source, split=split, training=True)


def target_use(config: Config) -> DatasetUse | None:
    """The unlabelled training images of the target; None where nothing is adapted."""
    da = config.training.da
    if da is None or da.start is None:
        return None
    return dataset_use(config, config.data.target, split=config.data.tgt_split, training=True, tasks=())


def validation_use(config: Config) -> DatasetUse:
    """The images that measure the network: of the target where there is one."""
    return dataset_use(config, config.data.validation, split="val", training=False)


def dataset_use(
    config: Config, cfg: DatasetConfig, *, split: str, training: bool, tasks: tuple[str, ...] | None = None
) -> DatasetUse:
    """A dataset of the experiment with the maps that `tasks` (default: the network's) need.

    Depth learned from video is measured against depth maps, but trained without.
    """
    if tasks is None:
        tasks = tuple(task for task in config.setup.tasks if task != "disp" or not training)
    data = config.data
    section = "data" if data.target is None else "data.target" if cfg is data.target else "data.source"
    return DatasetUse(cfg, section, split, tasks, training)


def open_dataset(experiment: Experiment, use: DatasetUse, *, build: DatasetBuilder = build_dataset) -> DenseDataset:
    """A dataset of the experiment.

    Raises:
        UserError: It is not there or not as it should be; or what is prepared of it is not, with the command that
            prepares it again.
    """
    config = experiment.config
    try:
        return build(
            use.cfg,
            split=use.split,
            tasks=use.tasks,
            training=use.training,
            seed=config.training.seed,
            section=use.section,
            sequences=use.training,
            uncropped_frames=use.training and pose_sees_uncropped(config),
        )
    except NotPrepared as error:
        command = shlex.join(["python", "-m", "dataset.prepare", *experiment.arguments])
        raise NotPrepared(f"{error}; renew it:\n  {command}") from error


def pose_sees_uncropped(config: Config) -> bool:
    """Whether the pose network sees video frames before their crop."""
    pose = config.setup.model.pose_kwargs
    return config.setup.is_video_depth and pose is not None and pose.provide_uncropped_for_pose
