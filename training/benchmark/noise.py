"""An experiment on images of noise, ready to train: neither datasets nor pretrained weights are needed."""

from collections.abc import Iterator
from typing import Any

import torch

from dataset.loader import train_loader
from training.benchmark.noise_data import noise_datasets
from training.build import build_setting
from training.device import runs_channels_last
from training.distributed import Processes
from training.evaluate import Evaluator
from training.setting import Batch, Setting, to_device
from utils.config.load import Experiment
from utils.seed import seed_everything


def noise_setting(experiment: Experiment, device: torch.device) -> tuple[Setting, Evaluator]:
    """The setting of an experiment with random weights, in training mode, and its evaluator."""
    seed_everything(experiment.config.training.seed)
    datasets = noise_datasets(experiment.config)
    setting, evaluator = build_setting(experiment, device, Processes(), resumes=True, datasets=datasets)
    setting.train()
    return setting, evaluator


def noise_batches(experiment: Experiment, setting: Setting, device: torch.device) -> Iterator[dict[str, Batch]]:
    """Endless batches of every stream of a setting, on the device."""
    training = experiment.config.training
    channels_last = runs_channels_last(training.channels_last, device, trains=True)
    batch_size = experiment.config.data.train_bs
    streams = {
        name: iter(train_loader(dataset, batch_size=batch_size, workers=0, seed=training.seed))
        for name, dataset in setting.datasets.items()
    }
    while True:
        yield {name: to_device(next(stream), device, channels_last=channels_last) for name, stream in streams.items()}


def describe(experiment: Experiment, device: torch.device, kind: str) -> dict[str, Any]:
    """What every result says first: what was measured and on what."""
    config = experiment.config
    on_gpu = device.type == "cuda"
    return {
        "benchmark": kind,
        "config": experiment.name,
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "threads": None if on_gpu else torch.get_num_threads(),
        "size": list(config.data.source.output_size),
        "batch": config.data.train_bs,
        "amp": config.training.use_amp,
    }
