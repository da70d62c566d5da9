"""The options by which every command finds its experiment."""

import argparse
from pathlib import Path

from utils.environment import ENV_CONFIG


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Add --config, --base, --env-config and --set, which `utils.config.load_experiment` takes."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="experiment file (YAML)")
    parser.add_argument("--base", type=Path, metavar="FILE", help="file whose sections --config replaces")
    parser.add_argument(
        "--env-config",
        type=Path,
        default=ENV_CONFIG,
        metavar="FILE",
        help="constants for $ENV:NAME in configs (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one key of the merged config, e.g. --set data.train_bs=4 (repeatable)",
    )
