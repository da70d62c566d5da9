"""The predictor that any model must beat: the same answer for every image.

`python -m training.trivial --base B --config C [--metrics METRICS_JSON]` learns the majority class, the median depth
and the mean normal of the training images (and that there is no edge), evaluates them as networks are, and prints the
figures, beside those of a model if its `metrics.json` is given.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dataset.experiment import dataset_use, open_dataset
from dataset.loader import eval_loader
from training.build import build_evaluator
from training.compare import headlines, means_table, read_metrics
from training.distributed import Processes
from training.evaluation import Evaluation
from training.tasks import Task
from utils.command import run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.load import Experiment
from utils.console import setup_console


class ConstantNetwork(nn.Module):
    """Predicts the same value everywhere: `values` [C] of each task, in the units of a network, at its `scales`."""

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


def constant_answers(experiment: Experiment, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """The best constant prediction of every task, learned from the training images, in the units of a network."""
    config = experiment.config
    # From the original files: prepared data need not hold the maps of training images.
    files = config.data.source.model_copy(update={"prepared": None})
    dataset = open_dataset(experiment, dataset_use(config, files, split="train", training=False))
    summaries: dict[str, list[Tensor]] = {name: [] for name in tasks}
    for batch in eval_loader(dataset, batch_size=config.data.valid_bs, workers=config.training.n_workers):
        for name, task in tasks.items():
            summaries[name].append(task.summary(batch))
    return {name: task.constant(summaries[name]) for name, task in tasks.items()}


def evaluate_trivial(experiment: Experiment) -> Evaluation:
    """Measure the constant prediction on the validation split."""
    evaluator = build_evaluator(experiment, torch.device("cpu"), Processes())
    answers = constant_answers(experiment, evaluator.tasks)
    return evaluator.run(ConstantNetwork(values=answers, scales=evaluator.scales))


def run(arguments: argparse.Namespace) -> None:
    """Print the table that the command line asks for."""
    setup_console()
    experiment = chosen_experiment(arguments, purpose="evaluate")
    columns = {"trivial": [headlines(evaluate_trivial(experiment).metrics)]}
    if arguments.metrics is not None:
        columns["model"] = [headlines(read_metrics(arguments.metrics))]
    print(means_table(columns))


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(prog="python -m training.trivial", description=__doc__.split("\n\n")[0])
    add_experiment_options(parser)
    parser.add_argument("--metrics", type=Path, help="metrics.json of a model to compare with")
    return parser


def main() -> int:
    """Command line; gives the exit status."""
    arguments = build_parser().parse_args()
    return run_command(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
