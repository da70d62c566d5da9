"""From experiment files to one typed, checked config: read, merge, override, fill in `$ENV:`, validate.

--config on --base (sections replaced whole)  ->  seed  ->  --set  ->  $ENV:  ->  Config (utils/config/schema)
                                                                              ->  crosscheck (utils/config/checks.py)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from utils.config.checks import crosscheck, surprises
from utils.config.environment import ENV_CONFIG, export_constants, resolve
from utils.config.messages import KeyPath, dotted, explain, user_path
from utils.config.schema import Config
from utils.config.yaml_io import parse_yaml, read_mapping
from utils.console import LOGGER
from utils.errors import UserError

RUN_CONFIG = "cfg.yml"  # the config in a run's folder, <config-name>/s<seed>/<time>/
Purpose = Literal["train", "evaluate", "predict", "prepare"]


@dataclass(frozen=True)
class Experiment:
    """One experiment, ready to run."""

    config: Config
    raw: dict[str, Any]  # `config` as mappings and lists, merged and resolved, in the order written: as in `cfg.yml`
    name: str  # of the experiment file, without suffix; for a run folder's `cfg.yml`, that of the run's
    arguments: tuple[str, ...] = ()  # the command line that loads it again, except for seeds


def load_experiment(
    config: Path,
    *,
    base: Path | None = None,
    overrides: Sequence[str] = (),
    env_config: Path | None = None,
    seed: int | None = None,
    purpose: Purpose = "train",
) -> Experiment:
    """Load an experiment file.

    The constants of `env_config` that the process environment does not have are exported to `os.environ`.

    Args:
        config: the experiment file.
        base: file whose sections are used where `config` does not have them.
        overrides: `a.b=value` each, the value in YAML; they win over both files and over `seed`.
        env_config: file with constants for `$ENV:NAME`; None: the process environment alone.
        seed: replaces the training and the dataset seed.
        purpose: what the run does. Prediction needs no dataset, evaluation no source if there is a target, and
            preparation only the datasets to be prepared; none of them needs pretrained weights. `$ENV:` variables that
            are not needed may be undefined, and stay as they are.

    Raises:
        UserError: a file that is missing or not YAML, or the list of all that is wrong with the experiment.
    """
    inherited = {} if base is None else _sections(base, "--base")
    own = _sections(config, "--config")
    merged = {**inherited, **own}
    if "setup" not in merged:
        raise UserError(f"--config {config}: an experiment file needs the section `setup`")
    if "setup" not in own and not own.keys() <= inherited.keys():  # else it changes a whole experiment
        raise UserError(f"--config {config}: has no section `setup`, while {base} has; swap --base and --config")
    if seed is not None:
        merged = _with_seed(merged, seed)
    for override in overrides:
        merged = _with_override(merged, override)
    if env_config is not None:
        export_constants(env_config)
    unused = _not_needed(merged, purpose)
    raw, problems = resolve(merged, env_config, lambda path: not any(path[: len(key)] == key for key in unused))
    typed = None
    try:
        typed = Config.model_validate(raw)
        found = crosscheck(typed, trains=purpose in ("train", "prepare"))
        problems += [(user_path(path, raw), message) for path, message in found]
    except ValidationError as error:
        undefined = [path for path, _ in problems]
        problems += [(path, message) for path, message in explain(error, raw) if path not in undefined]
    if typed is None or problems:
        where = f"{config} (base {base})" if base is not None else str(config)
        lines = list(dict.fromkeys(f"{dotted(path)}: {message}" for path, message in problems))
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        raise UserError("\n  ".join([f"{where}: {count}", *lines]))
    for key, message in surprises(typed):
        LOGGER.warning("%s: %s: %s", config, key, message)
    return Experiment(typed, raw, _name(config), _arguments(config, base, overrides, env_config))


def _name(config: Path) -> str:
    """The name of an experiment; runs from another run's config share its name."""
    parents = config.absolute().parents
    in_run = config.name == RUN_CONFIG and len(parents) > 2 and re.fullmatch(r"s-?\d+", parents[1].name)
    return parents[2].name if in_run else config.stem


def _sections(path: Path, option: str) -> dict[str, Any]:
    """The content of an experiment file or its base; if it is missing, the error names the most similar file."""
    if path.exists():
        return read_mapping(path)
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: no such file, nor is there a folder {path.parent}")
    nearest = get_close_matches(path.name, [file.name for file in path.parent.glob("*.yml")], n=1)
    hint = f"; did you mean {path.with_name(nearest[0])}?" if nearest else ""
    raise UserError(f"{option} {path}: no such file{hint}")


def _arguments(config: Path, base: Path | None, overrides: Sequence[str], env_config: Path | None) -> tuple[str, ...]:
    words = [] if base is None else ["--base", str(base)]
    words += ["--config", str(config)]
    words += [word for override in overrides for word in ("--set", override)]
    if env_config not in (None, ENV_CONFIG):
        words += ["--env-config", str(env_config)]
    return tuple(words)


def changed_keys(before: Any, after: Any, where: str = "") -> list[str]:
    """Dotted keys in which two configs (as in `Experiment.raw`) differ: those of the later one, then those removed."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [where]
    missing, prefix = object(), f"{where}." if where else ""
    pairs = {f"{prefix}{key}": (before.get(key, missing), after.get(key, missing)) for key in after | before}
    return [changed for key, (old, new) in pairs.items() for changed in changed_keys(old, new, key)]


def _not_needed(merged: dict[str, Any], purpose: Purpose) -> tuple[KeyPath, ...]:
    """Key paths, of values or whole sections, that a run for this purpose never reads."""
    if purpose == "train":
        return ()
    weights, logs = ("setup", "model", "pretrain"), ("training", "logdir")
    if purpose == "predict":
        return ("data",), logs, weights
    data = merged.get("data")
    has_target = isinstance(data, dict) and data.get("target") is not None
    if purpose == "prepare":
        roles = [role for role in ("source", "target") if has_target and not _is_prepared(data, role)]
        return *(("data", role, "path") for role in roles), logs, weights
    return (("data", "source", "path"), ("data", "source", "prepared"), weights) if has_target else (weights,)


def _is_prepared(data: Any, role: str) -> bool:
    """Whether the config names the prepared form of a dataset."""
    own = data.get(role)
    return (data | own if isinstance(own, dict) else data).get("prepared") is not None


def _with_seed(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """The config with its training and dataset seeds replaced, where it has those sections."""
    data = config.get("data")
    keys = [["training", "seed"], ["data", "dataset_seed"]]
    if isinstance(data, dict):
        roles = [role for role in ("source", "target") if isinstance(data.get(role), dict)]
        keys += [["data", role, "dataset_seed"] for role in roles if "dataset_seed" in data[role]]
    for words in keys:
        if isinstance(config.get(words[0]), dict):
            config = _with_value(config, words, seed, "--seed")
    return config


def _with_override(config: dict[str, Any], override: str) -> dict[str, Any]:
    """The config with one `a.b=value` applied."""
    key, separator, text = override.partition("=")
    words = key.strip().split(".")
    if not separator or not all(words):
        raise UserError(f"--set {override}: expected KEY=VALUE with a dotted key, such as data.train_bs=4")
    if words[:2] == ["setup", "lr"]:
        words[2:] = [".".join(words[2:])] if words[2:] else []  # the names of parameter groups have dots themselves
    return _with_value(config, words, parse_yaml(text, f"--set {override}"), f"--set {override}")


def _with_value(node: Any, words: list[str], value: Any, option: str, done: KeyPath = ()) -> dict[Any, Any]:
    """A copy of the mapping `node` with the value at the key path `words` replaced; mappings on the way are created."""
    node = {} if node is None else node
    if not isinstance(node, dict):
        kind = "a list; give the whole list" if isinstance(node, list) else f"the value {node!r}, which has no keys"
        raise UserError(f"{option}: {dotted(done)} holds {kind}")
    word, *rest = words
    key = int(word) if word.isdecimal() and word not in node else word  # val_interval has numbers for keys
    inner = _with_value(node.get(key), rest, value, option, (*done, key)) if rest else value
    return {**node, key: inner}
