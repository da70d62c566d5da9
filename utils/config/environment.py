"""`$ENV:NAME` in experiment files: the source of the constants and their substitution."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.config.messages import KeyPath, Problem
from utils.config.yaml_io import read_mapping
from utils.errors import UserError

# The file of --env-config, unless another is given.
ENV_CONFIG = Path(__file__).parents[2] / "configs" / "env_config.yml"

_REFERENCE = re.compile(r"\$ENV:([A-Za-z_][A-Za-z0-9_]*)?")
_HOME = re.compile(r"\$HOME\b|\$\{HOME\}")


def _expand(text: str) -> str:
    """`~` at the start and `$HOME` anywhere become the home directory."""
    return _HOME.sub(lambda _: os.path.expanduser("~"), os.path.expanduser(text))


def export_constants(env_config: Path) -> None:
    """Put the constants of an environment file into `os.environ`, unless they already have a value there.

    The file holds `NAME: value` lines; a name without a value counts as undefined.

    Raises:
        UserError: the file is missing or bad, or a value is not a plain string or number.
    """
    for name, value in read_mapping(env_config).items():
        if isinstance(value, (dict, list)):
            raise UserError(f"{env_config}: {name}: expected a path or another plain value, got {value!r}")
        if value not in (None, "") and not os.environ.get(str(name)):
            os.environ[str(name)] = _expand(str(value))


def resolve(tree: Any, env_config: Path | None, is_needed: Callable[[KeyPath], bool]) -> tuple[Any, list[Problem]]:
    """Fill in every `$ENV:NAME` of a config from `os.environ` and expand `~` and `$HOME`.

    Returns a new tree and one problem, which names `env_config`, for each undefined variable the run needs. Where
    `is_needed` says no to a key path, a string with an undefined variable stays as it is.
    """
    problems: list[Problem] = []

    def visit(node: Any, path: KeyPath) -> Any:
        if isinstance(node, dict):
            return {key: visit(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [visit(value, (*path, index)) for index, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        names = [match[1] or "" for match in _REFERENCE.finditer(node)]  # "": `$ENV:` without a name
        undefined = [name for name in names if not os.environ.get(name)]
        if not undefined:
            return _expand(_REFERENCE.sub(lambda match: os.environ[match[1]], node))
        if is_needed(path):
            problems.extend((path, _how_to_define(name, node, env_config)) for name in undefined)
        return node

    return visit(tree, ()), problems


def _how_to_define(name: str, text: str, env_config: Path | None) -> str:
    if not name:
        return f"'{text}' names no variable after $ENV:"
    return (
        f"'{text}' needs the variable {name}, which is not defined or empty; "
        f"set it in the shell (export {name}=...) or in {env_config or 'the file of --env-config'} ({name}: ...)"
    )
