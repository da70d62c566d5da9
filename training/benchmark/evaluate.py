"""Speed of validation on noise, against the loop that research code usually has.

The plain loop: one process that loads, predicts and measures one batch after the other, float32, channels first, the
network in the textbook form (`training/benchmark/textbook.py`). Weights, losses and metrics are the same on both sides.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
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
from training.evaluator import Evaluator
from training.strategy import to_device
from utils.config.load import Experiment
from utils.geometry import resize
from utils.seed import seed_everything

Figures = dict[str, dict[str, Any]]


def evaluate(experiment: Experiment, device: torch.device, *, images: int, repeats: int) -> dict[str, Any]:
    """Images a second of our validation and of the plain loop, each the median over interleaved repeats.

    Loading is part of both, and so is, on our side, the start of the workers.

    Args:
        experiment: What to validate, with weights at random.
        device: Where.
        images: Validated in each repeat; at most as many as the noise has.
        repeats: Of everything, after one that does not count.

    Returns:
        Speeds, their `ratio`, and in `ratios` what the plain loop gains by each ingredient alone: the network's own
        form, channels last, and loader workers.
    """
    config = experiment.config
    seed_everything(config.training.seed)
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids).to(device)
    dataset = noise_datasets(config).validation
    evaluator = build_evaluator(experiment, device, Processes(), dataset=dataset)
    evaluator.options = replace(evaluator.options, limit=images, n_logged=0)
    last_format = torch.channels_last
    plain, last = textbook(network), textbook(network).to(memory_format=last_format)
    ours = copy.deepcopy(network).to(memory_format=last_format) if evaluator.options.channels_last else network
    runs: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain_loop(evaluator, plain),
        "ours": lambda: evaluator.run(ours),
        "form": lambda: plain_loop(evaluator, network),
        "channels_last": lambda: plain_loop(evaluator, last, channels_last=True),
        "workers": lambda: plain_loop(evaluator, plain, workers=evaluator.options.workers),
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
        "batch": evaluator.options.batch_size,
        "workers": evaluator.options.workers,
        "images": count,
        "images_per_second": round(speeds["ours"], 3),
        "plain_images_per_second": round(speeds["plain"], 3),
        "ratio": ratios.pop("ours"),
        "ratios": ratios,
    }


def plain_loop(
    evaluator: Evaluator, network: nn.Module, *, channels_last: bool = False, workers: int = 0
) -> tuple[dict[str, float], Figures]:
    """The loop of usual research code over what an evaluator would measure.

    Args:
        evaluator: Whose dataset, losses, metrics and options to use.
        network: To be measured, in the memory format that `channels_last` says.
        channels_last: Whether images are given channels last.
        workers: Loader workers.

    Returns:
        Mean losses and all figures, as `Evaluation` has them.
    """
    options = evaluator.options
    network.eval()
    for measure in evaluator.measures.values():
        measure.metric.reset()
    losses: dict[str, float] = {}
    count = 0
    loader = eval_loader(evaluator.dataset, batch_size=options.batch_size, workers=workers, limit=options.limit)
    with torch.no_grad():
        for batch in loader:
            batch = to_device(batch, evaluator.device, channels_last=channels_last)
            image = batch["image"]
            predictions = network(image)
            for name, loss in evaluator.loss(predictions, batch).items():
                losses[name] = losses.get(name, 0.0) + loss.item() * len(image)
            for measure in evaluator.measures.values():
                prediction = predictions[measure.task][measure.scale]
                decoded = evaluator.tasks[measure.task].decode(resize(prediction, image.shape[-2:]))
                measure.metric.update(decoded, *evaluator.tasks[measure.task].truth(batch))
            count += len(image)
    figures = {name: measure.metric.compute() for name, measure in evaluator.measures.items()}
    return {name: loss / count for name, loss in losses.items()}, figures
