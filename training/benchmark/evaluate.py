"""Speed of validation, against the loop that research code usually has, on noise.

The plain loop: one process that loads, predicts and measures one batch after the other, float32, channels first, the
network in the textbook form (`training/benchmark/textbook.py`), its batch norms on their own. Weights, losses and
metrics are the same on both sides.
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
from models.folding import fold_batch_norms
from training.benchmark.noise_data import noise_datasets
from training.benchmark.textbook import textbook
from training.build import build_evaluator
from training.distributed import Processes
from training.evaluate import Evaluator
from training.setting import to_device
from utils.config.load import Experiment
from utils.seed import seed_everything

Figures = dict[str, dict[str, Any]]


def evaluate(experiment: Experiment, device: torch.device, *, images: int, repeats: int) -> dict[str, Any]:
    """Images a second of our validation and of the plain loop, each the median over interleaved repeats.

    Loading is part of both; so are, on our side, the start of the workers and the folding, once a repeat.

    Args:
        experiment: What to validate, with weights at random.
        device: Where.
        images: Validated in each repeat; at most as many as the noise has.
        repeats: Of everything, after one batch each to warm up.

    Returns:
        Speeds, their `ratio`, and in `ratios` what the plain loop gains by each ingredient alone: the network's own
        form, channels last, folded norms, and loader workers.
    """
    config = experiment.config
    seed_everything(config.training.seed)
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids).to(device)
    memory_format = torch.channels_last if config.training.channels_last else torch.contiguous_format
    placed = copy.deepcopy(network).to(memory_format=memory_format)
    dataset = noise_datasets(config).validation
    evaluator = build_evaluator(experiment, placed, device, Processes(), dataset=dataset)
    evaluator.options = replace(evaluator.options, limit=images, n_logged=0)
    plain, last = textbook(network), textbook(network).to(memory_format=torch.channels_last)
    folded = textbook(fold_batch_norms(network))
    runs: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain_loop(evaluator, plain),
        "ours": evaluator.run,
        "form": lambda: plain_loop(evaluator, network),
        "channels_last": lambda: plain_loop(evaluator, last, channels_last=True),
        "folding": lambda: plain_loop(evaluator, folded),
        "workers": lambda: plain_loop(evaluator, plain, workers=evaluator.options.workers),
    }
    whole, evaluator.options = evaluator.options, replace(evaluator.options, limit=evaluator.options.batch_size)
    for run in runs.values():
        run()
    evaluator.options = whole
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)

    count = min(images, len(evaluator.dataset))
    speeds = {name: count / median(values) for name, values in seconds.items()}
    ratios = {name: round(speed / speeds["plain"], 3) for name, speed in speeds.items()}
    return {
        "benchmark": "evaluate",
        "config": experiment.name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "size": list(evaluator.dataset.transform.size),
        "batch": evaluator.options.batch_size,
        "workers": evaluator.options.workers,
        "amp": config.training.use_amp,
        "images": count,
        "repeats": repeats,
        "images_per_second": round(speeds["ours"], 3),
        "plain_images_per_second": round(speeds["plain"], 3),
        "ratio": ratios["ours"],
        "ratios": {name: ratio for name, ratio in ratios.items() if name not in ("plain", "ours")},
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
                decoded = evaluator.decoder(measure.task, prediction, (image.shape[-2], image.shape[-1]))
                measure.metric.update(decoded, *evaluator.truth(measure.task, batch))
            count += len(image)
    figures = {name: measure.metric.compute() for name, measure in evaluator.measures.items()}
    return {name: loss / count for name, loss in losses.items()}, figures
