"""The predictor any model must beat: the same answer for every image.

`python -m training.trivial --base B --config C [--metrics METRICS_JSON]` learns the majority class, the median depth
and the mean normal of the training images (and that there is no edge), measures them on the validation split with the
very code that measures networks, and prints them, beside the figures of a model where its `metrics.json` is given.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dataset.experiment import dataset_use, open_dataset
from dataset.loader import eval_loader
from loss.multitask import MultiTaskLoss
from training.build import build_evaluator
from training.compare import headlines, means_table, read_metrics
from training.distributed import Processes
from training.evaluation import Evaluation
from utils.command import run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.load import Experiment
from utils.config.schema.loss import L1Depth
from utils.console import setup_console
from utils.geometry import metres_to_inverse

DEPTH_SAMPLES = 4096  # a frame, evenly spaced; enough for a median


class ConstantNetwork(nn.Module):
    """Predicts the same value everywhere, in the units of a network.

    Args:
        values: Per task the prediction of one pixel, [C].
        scales: Per task the scales to predict.
    """

    def __init__(self, *, values: Mapping[str, Tensor], scales: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.values = dict(values)
        self.scales = dict(scales)

    def forward(self, image: Tensor) -> dict[str, dict[int, Tensor]]:
        """Image [B,3,H,W] -> {task: {scale: [B,C,H,W]}}."""
        size = (len(image), -1, *image.shape[-2:])
        return {
            task: {scale: value.to(image).view(1, -1, 1, 1).expand(size) for scale in self.scales[task]}
            for task, value in self.values.items()
        }


def constant_answers(experiment: Experiment, loss: MultiTaskLoss) -> dict[str, Tensor]:
    """The best constant prediction of every task, learned from the training images, in the units of a network."""
    config = experiment.config
    files = config.data.source.model_copy(update={"prepared": None})  # which need not hold the maps of training images
    dataset = open_dataset(experiment, dataset_use(config, files, split="train", training=False))
    tasks = config.setup.tasks
    classes = torch.zeros(config.data.source.n_classes, dtype=torch.int64)
    normal = torch.zeros(3, dtype=torch.float64)
    depths: list[np.ndarray] = []
    for batch in eval_loader(dataset, batch_size=config.data.valid_bs, workers=config.training.n_workers):
        if "semseg" in tasks:
            known = batch["semseg"][batch["semseg"] < len(classes)]
            classes += torch.bincount(known, minlength=len(classes))
        if "depth" in tasks or "disp" in tasks:
            known = batch["depth"][batch["depth_mask"]]
            depths.append(known[:: max(1, len(known) // (DEPTH_SAMPLES * len(batch["depth"])))].numpy())
        if "normals" in tasks:
            normals, mask = loss.losses["normals"].target(batch)
            normal += (normals * mask).sum((0, 2, 3)).double()
    answers: dict[str, Tensor] = {}
    for task in tasks:
        if task == "semseg":
            answers[task] = F.one_hot(classes.argmax(), len(classes)).float()
        elif task == "depth":
            metres = torch.tensor([float(np.median(np.concatenate(depths)))])
            answers[task] = metres if isinstance(config.setup.loss.tasks[task], L1Depth) else metres_to_inverse(metres)
        elif task == "disp":
            answers[task] = torch.tensor([0.5])  # any: depth from video is measured up to scale
        elif task == "normals":
            answers[task] = F.normalize(normal, dim=0).float()
        else:
            answers[task] = torch.tensor([1.0, 0.0])
    return answers


def evaluate_trivial(experiment: Experiment) -> Evaluation:
    """Measure the constant prediction on the validation split."""
    evaluator = build_evaluator(experiment, torch.device("cpu"), Processes())
    scales = {task: section.kwargs.scales for task, section in experiment.config.setup.loss.tasks.items()}
    answers = constant_answers(experiment, evaluator.loss)
    return evaluator.run(ConstantNetwork(values=answers, scales=scales))


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line asks."""
    setup_console()
    experiment = chosen_experiment(arguments, purpose="evaluate")
    columns = {"trivial": [headlines(evaluate_trivial(experiment).metrics)]}
    if arguments.metrics is not None:
        columns["model"] = [headlines(read_metrics(arguments.metrics))]
    print(means_table(columns))


def main() -> int:
    """Command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.trivial", description=__doc__.split("\n\n")[0])
    add_experiment_options(parser)
    parser.add_argument("--metrics", type=Path, help="metrics.json of a model to compare with")
    arguments = parser.parse_args()
    return run_command(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
