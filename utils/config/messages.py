"""Validation errors of an experiment file, told in the words and places of whoever wrote the file."""

import types
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from utils.config.schema import Config, DataConfig, DatasetConfig

KeyPath = tuple[Any, ...]
Problem = tuple[KeyPath, str]  # where, and what is wrong there
_NUMBER_NAMES = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers")}
_OTHER_NAMES = {bool: ("true or false", "true or false values"), str: ("a text", "texts")}
_MAPPING = "a mapping (`key: value` lines%s)"


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def user_path(path: KeyPath, raw: dict[str, Any]) -> KeyPath:
    """Where the user wrote a key of the typed config.

    They differ in one place: dataset keys may stand in `data` itself, from where `DataConfig` copies them into `source`
    and `target`.
    """
    if path[:1] != ("data",) or path[1:2] not in (("source",), ("target",)):
        return path
    data, (role, *rest) = raw["data"], path[1:]
    section = data.get(role)
    if section is None:
        return ("data", *rest)
    if rest and isinstance(section, dict) and rest[0] not in section and rest[0] in data:
        return ("data", *rest)
    return path


def closest_hint(key: Any, valid: list[str]) -> str:
    """`did you mean 'x'?`, or the list of valid words where none is close."""
    matches = get_close_matches(str(key), valid, n=1, cutoff=0.6)
    return f"did you mean '{matches[0]}'?" if matches else f"valid here: {', '.join(valid)}"


def explain(error: ValidationError, raw: dict[str, Any]) -> list[Problem]:
    """One problem for each mistake in `raw`: its dotted path as written, what was expected and what was given."""
    found: list[tuple[KeyPath, bool, str]] = []
    for item in error.errors(include_url=False):
        loc = user_path(item["loc"], raw)
        is_key = loc[-1:] == ("[key]",)
        if is_key:
            loc = (*loc[:-2], item["input"])  # pydantic writes an odd key its own way
        path, value = _written_path(loc, raw, keep_last=item["type"] == "missing")
        in_union = len(path) < len(loc) and not is_key
        found.append((path, in_union, _message(item, path, value, is_key=is_key)))
    problems = []
    for path, in_union, message in found:
        # A value that fits no member of a union fails them all; only the member that got furthest is of interest.
        if in_union and any(len(other) > len(path) and other[: len(path)] == path for other, _, _ in found):
            continue
        problems.append((path, message))
    return problems


def _written_path(loc: KeyPath, raw: Any, *, keep_last: bool) -> tuple[KeyPath, Any]:
    """`loc` without the steps that stand in no file (union members, `[key]`), and the value found there."""
    node, path = raw, []
    for position, key in enumerate(loc):
        if isinstance(node, dict) and key in node or isinstance(node, list) and key in range(len(node)):
            node = node[key]
            path.append(key)
        elif keep_last and position == len(loc) - 1 and isinstance(key, str):
            path.append(key)
    return tuple(path), node


def _message(item: Any, path: KeyPath, value: Any, *, is_key: bool) -> str:
    if item["type"] == "missing" and isinstance(item["loc"][-1], str):
        if len(path) == 1:
            return "this section is missing; it stands in the experiment file or in the one given with --base"
        return f"missing; expected {describe(type_at(path))}"
    if item["type"] in ("extra_forbidden", "invalid_key"):
        return f"unknown key; {closest_hint(path[-1], keys_at(path[:-1]))}"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if is_key:
        valid = keys_at(path[:-1])
        if valid:
            return f"unknown key; {closest_hint(path[-1], valid)}"
        return f"expected {describe(_key_type(type_at(path[:-1])))} as the key, got {path[-1]!r}"
    return f"expected {describe(type_at(path))}, got {_shown(value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# --- the schema as types: what stands at a path, and how to say it ---


def _fields(section: type[BaseModel]) -> dict[str, Any]:
    """Type of each key a section takes. `data` also takes the keys of a dataset."""
    own = dict(section.model_fields)
    if section is DataConfig:
        own |= DatasetConfig.model_fields
    return {
        name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in own.items()
    }


def _options(kind: Any) -> list[Any]:
    """The members of a union, or the type alone; bounds stay with each."""
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) if member is not type(None) for option in _options(member)]
    if get_origin(kind) is Annotated and len(_options(get_args(kind)[0])) > 1:
        return _options(get_args(kind)[0])
    return [kind]


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def type_at(path: KeyPath) -> Any:
    """Type annotation of the value at a path (as written by a user) of the config; None where there is no such key."""
    kind: Any = Config
    for key in path:
        inner = None
        for option in map(_bare, _options(kind)):
            if _is_section(option):
                inner = _fields(option).get(key, inner)
            elif get_origin(option) is dict:
                inner = get_args(option)[1]
            elif get_origin(option) in (list, tuple) and isinstance(key, int):
                inner = get_args(option)[min(key, len(get_args(option)) - 1)]
        kind = inner
    return kind


def _key_type(kind: Any) -> Any:
    return next((get_args(option)[0] for option in map(_bare, _options(kind)) if get_origin(option) is dict), None)


def keys_at(path: KeyPath) -> list[str]:
    """The keys a section or a mapping of tasks takes; empty for other values."""
    kind = type_at(path)
    for option in map(_bare, _options(kind)):
        if _is_section(option):
            return list(_fields(option))
    return [str(name) for name in get_args(_key_type(kind))] if get_origin(_key_type(kind)) is Literal else []


def _bounds(kind: Any) -> dict[str, Any]:
    """gt, ge, lt, le, min_length and max_length of an annotated type."""
    found: dict[str, Any] = {}
    for mark in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        for part in getattr(mark, "metadata", None) or [mark]:
            for name in ("gt", "ge", "lt", "le", "min_length", "max_length"):
                if getattr(part, name, None) is not None:
                    found[name] = getattr(part, name)
    return found


def describe(kind: Any, plural: bool = False) -> str:
    """A type annotation in words: `Annotated[int, Gt(0)]` is "a whole number above 0"."""
    options = _options(kind)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(describe(option, plural) for option in options))
    bare, bounds = _bare(options[0]), _bounds(options[0])
    if bare in _NUMBER_NAMES:
        return _NUMBER_NAMES[bare][plural] + _range_words(bounds)
    if bare in _OTHER_NAMES:
        return _OTHER_NAMES[bare][plural]
    origin, args = get_origin(bare), get_args(bare)
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in args)
    if origin in (list, tuple):
        least, most = bounds.get("min_length"), bounds.get("max_length")
        count = len(args) if origin is tuple else least if least == most else None
        empty = " (at least one)" if least == 1 and count is None else ""
        return f"{'lists' if plural else 'a list'} of {f'{count} ' if count else ''}{describe(args[0], True)}{empty}"
    return _MAPPING % (", at least one" if bounds.get("min_length") else "")


def _range_words(bounds: dict[str, Any]) -> str:
    low, high = bounds.get("ge"), bounds.get("le", bounds.get("lt"))
    if "gt" in bounds:
        return f" above {bounds['gt']:g}"
    if low is not None and high is not None:
        return f" from {low:g} to {'' if 'le' in bounds else 'below '}{high:g}"
    return f" of at least {low:g}" if low is not None else ""
