"""Compare experiments over seeds: `python -m training.compare LABEL=GLOB ...`.

Each GLOB names the `metrics.json` files of one experiment, one a seed. Prints the headline figures of the final output,
mean and standard deviation over the seeds.
"""

import argparse
import glob
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.evaluation import FINAL_SCALE, HEADLINES
from utils.console import table
from utils.errors import UserError


def read_metrics(path: Path) -> dict[str, dict[str, Any]]:
    """The metrics of a `metrics.json`.

    Raises:
        UserError: The file is missing or is none.
    """
    try:
        return json.loads(path.read_text())["metrics"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as metrics.json ({error})") from error


def headlines(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float | None, bool]]:
    """ "<task> <metric>" -> (value, lower is better) of the final output."""
    found = {}
    for output, figures in metrics.items():
        task, _, scale = output.partition("_")
        if scale == str(FINAL_SCALE):
            for name, lower_is_better in HEADLINES[task].items():
                found[f"{task} {name}"] = (figures[name], lower_is_better)
    return found


def comparison(experiments: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]) -> str:
    """Table with a row for each headline figure and a column for each experiment, given the metrics of its runs."""
    columns = {label: [headlines(metrics) for metrics in runs] for label, runs in experiments.items()}
    names = {name: value[1] for runs in columns.values() for run in runs for name, value in run.items()}
    rows = []
    for name, lower_is_better in names.items():
        cells = [_mean([run[name][0] for run in runs if name in run]) for runs in columns.values()]
        rows.append([name, "lower" if lower_is_better else "higher", *cells])
    header = ["", "better", *(f"{label} (n={len(r)})" if len(r) > 1 else label for label, r in columns.items())]
    return table(header, rows)


def _mean(values: Sequence[float | None]) -> str:
    """Mean and, of two or more, standard deviation; "-" where a figure is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    mean = f"{statistics.mean(known):.4f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.4f}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("experiments", nargs="+", metavar="LABEL=GLOB", help="metrics.json files of one experiment")
    try:
        experiments = {}
        for argument in parser.parse_args().experiments:
            label, separator, pattern = argument.partition("=")
            files = sorted(glob.glob(pattern))
            if not separator or not files:
                raise UserError(f"{argument}: expected LABEL=GLOB of metrics.json files; {pattern!r} matches none")
            experiments[label] = [read_metrics(Path(file)) for file in files]
        print(comparison(experiments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
