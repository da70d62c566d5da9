"""Speed of validation on noise, against the usual loop of research code.

That plain loop loads, predicts and measures one batch after the other in one process: float32, channels first, the
network in the textbook form (`training/benchmark/textbook.py`). Weights, losses and metrics are the same on both sides.
"""

import copy
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

from dataset.loader import eval_loader
from models.build import build_model
from training.benchmark.noise import describe
from training.benchmark.noise_data import noise_datasets
from training.benchmark.textbook import textbook
from training.build import build_evaluator
from training.distributed import Processes
from training.evaluation import Figures
from training.evaluator import Evaluator
from training.strategy import to_device
from utils.config.load import Experiment
from utils.geometry import resize
from utils.seed import seed_everything


def evaluate(experiment: Experiment, device: torch.device, *, images: int, repeats: int) -> dict[str, Any]:
    """Images a second of our validation and of the plain loop, each the median over interleaved repeats.

    Loading is part of both, and so is, on our side, the start of the workers. The weights are random. Each repeat
    validates `images` images, at most as many as the noise has; one before them does not count.

    Returns:
        Speeds, their `ratio`, and in `ratios` the gain of the plain loop by each ingredient alone: the network's own
        form, channels last, and loader workers.
    """
    config = experiment.config
    seed_everything(config.training.seed)
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids).to(device)
    dataset = noise_datasets(config).validation
    evaluator = build_evaluator(experiment, device, Processes(), dataset=dataset)
    evaluator.limit, evaluator.n_logged = images, 0
    plain, last = textbook(network), textbook(network).to(memory_format=torch.channels_last)
    ours = network
    if evaluator.channels_last:
        ours = copy.deepcopy(network).to(memory_format=torch.channels_last)
    runs: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain_loop(evaluator, plain),
        "ours": lambda: evaluator.run(ours),
        "form": lambda: plain_loop(evaluator, network),
        "channels_last": lambda: plain_loop(evaluator, last, channels_last=True),
        "workers": lambda: plain_loop(evaluator, plain, workers=evaluator.workers),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)

    count = min(images, len(evaluator.dataset))
    speeds = {name: count / median(values[1:]) for name, values in seconds.items()}
    ratios = {name: round(speed / speeds["plain"], 3) for name, speed in speeds.items() if name != "plain"}
    return describe(experiment, device, "evaluate") | {
        "size": list(evaluator.dataset.transform.size),
        "batch": evaluator.batch_size,
        "workers": evaluator.workers,
        "images": count,
        "images_per_second": round(speeds["ours"], 3),
        "plain_images_per_second": round(speeds["plain"], 3),
        "ratio": ratios.pop("ours"),
        "ratios": ratios,
    }


def plain_loop(
    evaluator: Evaluator, network: nn.Module, *, channels_last: bool = False, workers: int = 0
) -> tuple[dict[str, float], Figures]:
    """The usual loop of research code, with the data, losses, metrics and options of an evaluator.

    `channels_last` is the memory format of the images, and must be that of the network. Returns the mean losses and the
    figures of an `Evaluation`.
    """
    network.eval()
    for measure in evaluator.measures.values():
        measure.metric.reset()
    losses: dict[str, float] = {}
    count = 0
    loader = eval_loader(evaluator.dataset, batch_size=evaluator.batch_size, workers=workers, limit=evaluator.limit)
    with torch.no_grad():
        for batch in loader:
            batch = to_device(batch, evaluator.device, channels_last=channels_last)
            images, _, height, width = batch["image"].shape
            predictions = network(batch["image"])
            for name, loss in evaluator.loss(predictions, batch).items():
                losses[name] = losses.get(name, 0.0) + loss.item() * images
            for measure in evaluator.measures.values():
                task = evaluator.tasks[measure.task]
                prediction = resize(predictions[measure.task][measure.scale], (height, width))
                measure.metric.update(task.decode(prediction), *task.truth(batch))
            count += images
    figures = {name: measure.metric.compute() for name, measure in evaluator.measures.items()}
    return {name: loss / count for name, loss in losses.items()}, figures
