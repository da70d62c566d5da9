"""Datasets of noise in place of files, for benchmarks: the samples of `dataset/base.py`, of any dataset and size."""

import numpy as np

from dataset.base import DenseDataset
from dataset.build import build_transform, needed_maps
from dataset.labels import label_set
from utils.config.schema.data import DatasetConfig
from utils.constants import MAX_DEPTH, MIN_DEPTH

N_SAMPLES = 64


class NoiseSource:
    """Arrays as of `FileSource.load`, drawn at random, the same for an index at any time.

    Args:
        maps: the kinds of map to give.
        width, height: size of the arrays.
        n_classes: number of semantic classes.
        frames: offsets of the video frames to give beside the sample itself.
    """

    def __init__(
        self, *, maps: tuple[str, ...], width: int, height: int, n_classes: int, frames: tuple[int, ...] = ()
    ) -> None:
        self.maps = maps
        self.width = width
        self.height = height
        self.n_classes = n_classes
        self.frames = frames
        self.names = [f"noise_{index:02d}" for index in range(N_SAMPLES)]

    def load(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one sample; nothing is void and all depth is measured."""
        rng = np.random.default_rng(index)
        size = (self.height, self.width)
        center = (self.width - 1) / 2, (self.height - 1) / 2
        arrays = {"intrinsics": np.array([[self.width, 0, center[0]], [0, self.width, center[1]], [0, 0, 1.0]])}
        for offset in dict.fromkeys((0, *self.frames)):
            arrays[f"frame_{offset}"] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        if "semseg" in self.maps:
            arrays["semseg"] = rng.integers(0, self.n_classes, size, dtype=np.uint8)
        if "depth" in self.maps:
            arrays["depth"] = rng.uniform(MIN_DEPTH, MAX_DEPTH, size).astype(np.float32)
        if "normals" in self.maps:
            normals = rng.normal(size=(3, *size)).astype(np.float32)
            arrays["normals"] = normals / np.linalg.norm(normals, axis=0)
            arrays["normals_mask"] = np.ones(size, bool)
        if "edges" in self.maps:
            arrays["edges"] = rng.integers(0, 2, size, dtype=np.uint8)
        return arrays


def build_noise(
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
    """A dataset of noise that takes the place of `build_dataset(...)`; split and section do not matter to it."""
    frames = tuple(cfg.frame_ids) if cfg.load_sequences and sequences else ()
    source = NoiseSource(
        maps=needed_maps(cfg, tasks, training=training),
        width=cfg.width,
        height=cfg.height,
        n_classes=cfg.n_classes,
        frames=frames,
    )
    return DenseDataset(
        source=source,
        labels=label_set(cfg.dataset, cfg.n_classes),
        transform=build_transform(cfg, training=training),
        seed=seed,
        num_scales=cfg.num_scales,
        uncropped_frames=uncropped_frames,
    )
