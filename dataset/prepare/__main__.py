"""`python -m dataset.prepare`: writes the datasets of an experiment once, ready to be loaded."""

import argparse
import signal
import sys

from utils.command import run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.console import setup_console
from utils.errors import Stopped


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset.prepare",
        description="Decodes and resizes the datasets of an experiment once, into the folder of its key data.prepared; "
        "runs of main.py with that key then load them many times as fast. Stopped, it goes on where it was.",
    )
    add_experiment_options(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    """Do what the command line asks.

    Raises:
        Stopped: By Ctrl-C.
    """
    setup_console()
    experiment = chosen_experiment(options, purpose="prepare")
    from dataset.prepare.run import prepare  # PyTorch, whose seconds a mistake in the experiment need not cost

    try:
        prepare(experiment)
    except KeyboardInterrupt:
        raise Stopped(signal.SIGINT, "stopped; the same command goes on where it was") from None


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
