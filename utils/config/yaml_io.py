"""YAML as experiment files use it: `1e-4` is a number, a key given twice is an error, nothing runs code."""

import re
from pathlib import Path
from typing import Any

import yaml

from utils.errors import UserError

# YAML 1.1, which PyYAML implements, wants a dot and a signed exponent in a float and reads `1e-4` as a string.
_EXPONENT_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a mapping with the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in first and key.tag != "tag:yaml.org,2002:merge":
                line = first[name].start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' is repeated here, first on line {line}", key.start_mark
                )
            first[name] = key
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Safe dumper that repeats shared parts in full and quotes the strings that `_Loader` would read as numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT_FLOAT, list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """Value of a YAML text; a `UserError` that names `where` (a file, an option) for bad YAML."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise UserError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise UserError(f"{where}: not valid YAML: {error}") from None
    except RecursionError:
        raise UserError(f"{where}: not valid YAML: nested too deeply") from None


def read_mapping(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file; a `UserError` if the file is missing, unreadable, bad YAML or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    value = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise UserError(f"{path}: expected `key: value` lines at the top level, found {found}")
    return value


def write_mapping(mapping: dict[Any, Any], path: Path) -> None:
    """Write a mapping that `read_mapping` returns as it was, key order included."""
    text = yaml.dump(mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    path.write_text(text, encoding="utf-8")
