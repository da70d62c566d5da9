"""Datasets of noise in place of files: the samples of `dataset/base.py`, of any dataset and size."""

from dataclasses import dataclass, field

import numpy as np

from dataset.base import DenseDataset
from dataset.build import DatasetUse, build_transform
from dataset.experiment import Datasets, make_datasets, pose_sees_uncropped
from utils.config.schema import Config
from utils.constants import MAX_DEPTH, MIN_DEPTH

N_SAMPLES = 64


@dataclass(eq=False, kw_only=True)
class NoiseSource:
    """Arrays as in `FileSource.load`, drawn at random, the same for an index at any time.

    Args:
        maps: the kinds of map to give.
        width, height: size of the arrays.
        n_classes: number of semantic classes.
        frames: offsets of the video frames to give beside the sample itself.
    """

    maps: tuple[str, ...]
    width: int
    height: int
    n_classes: int
    frames: tuple[int, ...]
    names: list[str] = field(default_factory=lambda: [f"noise_{index:02d}" for index in range(N_SAMPLES)], init=False)

    def load(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one sample; nothing is void and all depth is measured."""
        rng = np.random.default_rng(index)
        size = (self.height, self.width)
        center = (self.width - 1) / 2, (self.height - 1) / 2
        arrays = {"intrinsics": np.array([[self.width, 0, center[0]], [0, self.width, center[1]], [0, 0, 1.0]])}
        for offset in dict.fromkeys((0, *self.frames)):
            arrays[f"frame_{offset}"] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        for kind in self.maps:
            if kind == "depth":
                arrays[kind] = rng.uniform(MIN_DEPTH, MAX_DEPTH, size).astype(np.float32)
            elif kind == "normals":
                normals = rng.normal(size=(3, *size)).astype(np.float32)
                arrays[kind] = normals / np.linalg.norm(normals, axis=0)
            else:
                arrays[kind] = rng.integers(0, self.n_classes if kind == "semseg" else 2, size, dtype=np.uint8)
        return arrays


def noise_datasets(config: Config) -> Datasets:
    """Noise in place of all that training reads."""
    return make_datasets(config, lambda use: noise_dataset(config, use))


def noise_dataset(config: Config, use: DatasetUse) -> DenseDataset:
    """Noise in place of one dataset, of which nothing needs to be on disk."""
    cfg = use.cfg
    source = NoiseSource(maps=use.maps, width=cfg.width, height=cfg.height, n_classes=cfg.n_classes, frames=use.frames)
    return DenseDataset(
        source=source,
        transform=build_transform(use),
        seed=config.training.seed,
        num_scales=cfg.num_scales,
        uncropped_frames=use.training and pose_sees_uncropped(config),
    )
