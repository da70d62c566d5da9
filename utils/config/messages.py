"""Validation errors of an experiment file, at the keys where its author wrote the values."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from utils.config.schema import Config
from utils.config.schema.data import DataConfig, DatasetConfig
from utils.config.schema.types import is_section, members

KeyPath = tuple[Any, ...]
Problem = tuple[KeyPath, str]  # where, and what is wrong there


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def user_path(path: KeyPath, raw: dict[str, Any]) -> KeyPath:
    """Where the user wrote a key of the typed config: `DataConfig` copies keys of `data` into `source` and `target`."""
    if path[:1] != ("data",) or path[1:2] not in (("source",), ("target",)):
        return path
    data, (role, *rest) = raw["data"], path[1:]
    section = data.get(role)
    is_shared = rest and isinstance(section, dict) and rest[0] not in section and rest[0] in data
    return ("data", *rest) if section is None or is_shared else path


def closest_hint(key: Any, valid: list[str]) -> str:
    """`did you mean 'x'?`, or the list of valid words where none is close."""
    matches = get_close_matches(str(key), valid, n=1, cutoff=0.6)
    return f"did you mean '{matches[0]}'?" if matches else f"valid here: {', '.join(valid)}"


def explain(error: ValidationError, raw: dict[str, Any]) -> list[Problem]:
    """One problem for each key with a mistake in `raw`: its path as written, what is wrong and what was given."""
    problems: dict[KeyPath, list[str]] = {}
    for item in error.errors(include_url=False):
        path = _written_path(user_path(item["loc"], raw), raw, adds_key=item["type"] == "missing")
        problems.setdefault(path, []).append(_message(item, path))
    return [(path, "; or ".join(dict.fromkeys(messages))) for path, messages in problems.items()]


def _written_path(loc: KeyPath, raw: Any, *, adds_key: bool) -> KeyPath:
    """`loc` without the steps that are in no file: tags and members of unions, `[key]`."""
    node, path = raw, []
    for position, key in enumerate(loc):
        if isinstance(node, dict) and key in node or isinstance(node, list) and key in range(len(node)):
            node = node[key]
            path.append(key)
        elif adds_key and position == len(loc) - 1:
            path.append(key)
    return tuple(path)


def _message(item: Any, path: KeyPath) -> str:
    kind, given = item["type"], item["input"]
    if kind == "missing":
        return "missing" + ("; it belongs in the experiment file or in the one of --base" if len(path) == 1 else "")
    if kind == "extra_forbidden":
        return f"unknown key; {closest_hint(path[-1], _keys_at(item['loc'][:-1]))}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        context = item["ctx"]
        tags = f"must be one of {context['expected_tags']}, got '{context['tag']}'" if "tag" in context else "missing"
        return f"{context['discriminator'].strip(chr(39))}: {tags}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if item["loc"][-1:] == ("[key]",):
        return f"unknown key {given!r}; {_lower(item['msg'])}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be a mapping (`key: value` lines), got {_shown(given)}"
    return f"{_lower(item['msg'])}, got {_shown(given)}"


def _lower(message: str) -> str:
    message = message.replace("Input should", "must").partition(", unable to parse")[0]
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _keys_at(loc: KeyPath) -> list[str]:
    """The keys of the section at a path of the typed config; `data` also takes the keys of a dataset."""
    kinds: list[Any] = [Config]
    for step in loc:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    keys = [key for section in kinds if is_section(section) for key in section.model_fields]
    return keys + list(DataConfig.model_fields if DatasetConfig in kinds else ())


def _inside(kind: Any, step: Any) -> Iterator[Any]:
    """The types of the value at `step` in a section or mapping; the tag of a union stays in its section."""
    if is_section(kind):
        if step in kind.model_fields:
            yield from members(kind.model_fields[step].annotation)
        elif any(step in get_args(field.annotation) for field in kind.model_fields.values()):
            yield kind
    elif get_origin(kind) is dict:
        yield from members(get_args(kind)[1])
