"""`python -m dataset.prepare`: writes the datasets of an experiment once, ready to be loaded."""

import argparse
import sys

from dataset.prepare.run import prepare
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.console import setup_console
from utils.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset.prepare",
        description="Decodes and resizes the datasets of an experiment once, into the folder of its key data.prepared; "
        "runs of main.py with that key then load them many times as fast. Stopped, it goes on where it was.",
    )
    add_experiment_options(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    setup_console()
    try:
        prepare(chosen_experiment(options, purpose="prepare"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
