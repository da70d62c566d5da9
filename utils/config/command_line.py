"""The options that select an experiment, shared by all commands, and the experiment they select."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.config.environment import ENV_CONFIG
from utils.config.load import Experiment, Purpose, load_experiment


def add_experiment_options(parser: argparse.ArgumentParser, *, config_required: bool = True) -> None:
    """Add --config, --base, --env-config and --set."""
    group = parser.add_argument_group("experiment")
    needed = "required" if config_required else "required, unless WEIGHTS is the folder of a run"
    config = f"the experiment, a YAML file ({needed})"
    base = "what experiments of a dataset share: counts where --config lacks a section (default: none)"
    override = "override one key of the merged config, e.g. --set data.train_bs=4; repeatable, wins over both files"
    folders = "folders for $ENV:NAME in configs; variables of the shell win (default: configs/env_config.yml)"
    group.add_argument("--config", type=Path, required=config_required, metavar="FILE", help=config)
    group.add_argument("--base", type=Path, metavar="FILE", help=base)
    group.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=override)
    group.add_argument("--env-config", type=Path, default=ENV_CONFIG, metavar="FILE", help=folders)


def chosen_experiment(
    options: argparse.Namespace, *, purpose: Purpose, seed: int | None = None, overrides: Sequence[str] = ()
) -> Experiment:
    """The experiment that the options of `add_experiment_options` select; `overrides` win over those of --set.

    The other arguments and errors are those of `load_experiment`.
    """
    overrides = [*options.overrides, *overrides]
    return load_experiment(
        options.config,
        base=options.base,
        overrides=overrides,
        env_config=options.env_config,
        seed=seed,
        purpose=purpose,
    )
