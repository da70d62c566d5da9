"""How long loading takes beside what cannot be left out: decoding a sample's files and the one LANCZOS resize.

Both are measured on the training images of an experiment, in turns in this process, which is set up as a worker is.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dataset.base import DenseDataset
from dataset.experiment import open_dataset, training_use
from dataset.loader import only_load, train_loader
from dataset.reading import image_size, read_rgb
from dataset.resize import resize_rgb
from dataset.source import FileSource
from utils.config.load import Experiment

Keys = list[tuple[int, int]]  # (epoch, index)
WARM_UP = 6  # batches of each worker, until it has all the memory it needs


def loader(experiment: Experiment, *, samples: int, repeats: int, workers: int) -> dict[str, Any]:
    """Seconds per sample to decode and to load, their ratio, and samples per second.

    Prepared data, where `data.prepared` is set, is compared with decoding the original files. Sets this process up as a
    worker.

    Args:
        experiment: whose training images are loaded (of the source where there is a target).
        samples: how many images to load, at most; less than a batch is left out.
        repeats: how often, after one time that does not count.
        workers: how many worker processes to measure the images per second of; 0 starts none.

    Raises:
        UserError: The dataset is not there or not as it should be.
    """
    only_load()
    config = experiment.config
    data = config.data.source
    dataset = open_dataset(experiment, training_use(config))
    source = file_source(dataset)
    count = min(samples, len(dataset))
    batch = min(config.data.train_bs, count)
    decoding, loading = _in_turns(dataset, count // batch * batch, batch=batch, repeats=repeats)
    first = dataset.filename(0)
    width, height = image_size(source.files.image_path(first), first)
    result: dict[str, Any] = {
        "benchmark": "loader",
        "config": experiment.name,
        "dataset": data.dataset,
        "maps": list(source.files.maps),
        "stored_size": [height, width],
        "size": list(dataset.transform.size),
        "batch": batch,
        "samples": count // batch * batch,
        "repeats": repeats,
        "decode_seconds": round(statistics.median(decoding), 6),
        "load_seconds": round(statistics.median(loading), 6),
        "ratio": round(statistics.median(b / a for a, b in zip(decoding, loading, strict=True)), 3),
        "samples_per_second": round(1 / statistics.median(loading), 2),
    }
    if workers:
        result["workers"] = workers
        rate = _rate(dataset, batch=batch, workers=workers, batches=max(1, repeats * count // batch))
        result["images_per_second"] = round(rate, 2)
    return result


def file_source(dataset: DenseDataset) -> FileSource:
    """Where a dataset of files gets its arrays."""
    if not isinstance(dataset.source, FileSource):
        raise TypeError(f"not a dataset of files: {dataset.source!r}")
    return dataset.source


def _in_turns(dataset: DenseDataset, count: int, *, batch: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds per sample of decoding and of loading, a value for every batch of every repeat."""

    source = file_source(dataset)

    def load(keys: Keys) -> None:
        for key in keys:
            dataset[key]

    def decode(keys: Keys) -> None:
        for _, index in keys:
            decode_sample(source, index)

    seconds: dict[Callable[[Keys], None], list[float]] = {decode: [], load: []}
    for repeat in range(repeats + 1):
        for start in range(0, count, batch):
            keys = [(repeat, index) for index in range(start, start + batch)]
            for work in (decode, load) if repeat % 2 else (load, decode):
                started = time.perf_counter()
                work(keys)
                seconds[work].append((time.perf_counter() - started) / batch)
    uncounted = count // batch
    return seconds[decode][uncounted:], seconds[load][uncounted:]


def decode_sample(source: FileSource, index: int) -> None:
    """Read and decode the files of a sample, and resize its images, but do nothing more with them."""
    for item in source.items(index).values():
        if item.kind == "image":
            resize_rgb(read_rgb(item.files[0], item.name), width=source.width, height=source.height)
        else:
            _decode(item.files[0])
    camera = source.files.camera_path(source.names[index])
    if camera is not None:
        _decode(camera)


def _decode(path: Path) -> None:
    match path.suffix:
        case ".npy":
            np.load(path)
        case ".json":
            json.loads(path.read_bytes())
        case _:
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def _rate(dataset: DenseDataset, *, batch: int, workers: int, batches: int) -> float:
    """Images a second that come from worker processes while nothing else is done."""
    stream = iter(train_loader(dataset, batch_size=batch, workers=workers, seed=0))
    for _ in itertools.islice(stream, WARM_UP * workers):
        pass
    started = time.perf_counter()
    for _ in itertools.islice(stream, batches):
        pass
    return batch * batches / (time.perf_counter() - started)
