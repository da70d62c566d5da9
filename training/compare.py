"""Compare experiments over seeds: `python -m training.compare LABEL=FOLDER ...`.

FOLDER is where `main.py` writes the runs of one experiment, `<logdir>/<dataset>/<config>`. For each seed the newest run
with a `metrics.json` is used. Prints the headline figures of the final output, mean and standard deviation over the
seeds, and how each experiment differs from the first on the seeds that both have.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from utils.command import run_command
from utils.console import table
from utils.errors import UserError

Headlines = dict[str, float | None]  # "<task> <metric>" -> value


def read_runs(argument: str) -> tuple[str, dict[str, Headlines]]:
    """The label and the headline figures of `LABEL=FOLDER`, by the folder of each seed (`s42`).

    Raises:
        UserError: Another form, or metrics that are missing or cannot be read.
    """
    label, separator, folder = argument.partition("=")
    if not separator:
        raise UserError(f"{argument}: expected LABEL=FOLDER")
    newest = {path.parent.parent.name: path for path in sorted(Path(folder).glob("s*/*/metrics.json"))}
    if not newest:
        raise UserError(f"{folder}: no s<seed>/<time>/metrics.json in it; expected <logdir>/<dataset>/<config>")
    return label, {seed: headlines(read_metrics(path)) for seed, path in newest.items()}


def read_metrics(path: Path) -> dict[str, dict[str, Any]]:
    """The metrics of a `metrics.json`; a UserError if it is missing or something else."""
    try:
        return json.loads(path.read_text())["metrics"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as metrics.json ({error})") from error


def headlines(metrics: Mapping[str, Mapping[str, Any]]) -> Headlines:
    """The headline figures of the final output."""
    shown = (name.split() for name in _lower_is_better())
    return {f"{task} {name}": metrics[f"{task}_0"][name] for task, name in shown if f"{task}_0" in metrics}


@cache
def _lower_is_better() -> dict[str, bool]:
    """Whether lower is better, for every headline figure."""
    from training.tasks import TASKS  # imports PyTorch, which takes seconds that help and mistakes need not cost

    return {f"{name} {figure}": lower for name, task in TASKS.items() for figure, lower in task.headlines.items()}


def comparison(experiments: Mapping[str, Mapping[str, Headlines]]) -> str:
    """Tables with a row for each headline figure and a column for each experiment, given its runs by seed."""
    runs = {label: list(by_seed.values()) for label, by_seed in experiments.items()}
    text = means_table(runs)
    first, *others = experiments
    if not others:
        return text
    names = _names(runs)
    differences = {
        label: [_difference(name, experiments[label], experiments[first]) for name in names] for label in others
    }
    return f"{text}\n\ncompared with {first}, seed by seed\n{_table(names, differences)}"


def means_table(experiments: Mapping[str, Sequence[Headlines]]) -> str:
    """The first table of `comparison`: mean and standard deviation over the runs."""
    names = _names(experiments)
    columns = {}
    for label, runs in experiments.items():
        title = f"{label} ({len(runs)} seeds)" if len(runs) > 1 else label
        columns[title] = [_mean([run.get(name) for run in runs]) for name in names]
    return _table(names, columns)


def _names(experiments: Mapping[str, Sequence[Headlines]]) -> list[str]:
    return list(dict.fromkeys(name for runs in experiments.values() for run in runs for name in run))


def _table(names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    better = ["lower" if _lower_is_better()[name] else "higher" for name in names]
    return table(["", "better", *columns], list(zip(names, better, *columns.values(), strict=True)))


def _mean(values: Sequence[float | None], *, sign: str = "") -> str:
    """Mean and, of two or more, standard deviation; "-" where a figure is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    mean = f"{statistics.mean(known):{sign}.4f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.4f}"


def _difference(name: str, runs: Mapping[str, Headlines], first: Mapping[str, Headlines]) -> str:
    """Mean and standard deviation of a figure's gain over the first experiment, and how often it is better."""
    pairs = [(runs[seed].get(name), first[seed].get(name)) for seed in runs if seed in first]
    gains = [value - base for value, base in pairs if value is not None and base is not None]
    if not gains or len(gains) < len(pairs):
        return "-"
    better = sum(gain < 0 if _lower_is_better()[name] else gain > 0 for gain in gains)
    return f"{_mean(gains, sign='+')}, {better} of {len(gains)} better"


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("experiments", nargs="+", metavar="LABEL=FOLDER", help="where the runs of an experiment lie")
    return parser


def main() -> int:
    """The command; returns its exit status."""
    arguments = build_parser().parse_args()
    return run_command(lambda: print(comparison(dict(map(read_runs, arguments.experiments)))))


if __name__ == "__main__":
    sys.exit(main())
