"""Every key of an experiment file as Markdown, from the schema: `python -m tests.helpers.reference`.

Rewrites what follows the marker in docs/configuration.md; what stands before it is written by hand.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from utils.config.schema.data import DataConfig, DatasetConfig
from utils.config.schema.loss import TaskLossConfig
from utils.config.schema.optim import OptimConfig, SchedulerConfig
from utils.config.schema.setup import SetupConfig, TaskConfig
from utils.config.schema.training import TrainingConfig
from utils.config.schema.types import Section, TaskName, is_section, members
from utils.files import write_atomically

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
MARKER = "<!-- What follows is written by `python -m tests.helpers.reference`. -->\n"

# Where the keys of each table stand, and what they are; sections inside these are part of their table.
TABLES: list[tuple[str, type[Section]]] = [
    ("data", DataConfig),
    ("data.source, data.target or data itself", DatasetConfig),
    ("training", TrainingConfig),
    ("setup", SetupConfig),
    ("setup.model.tasks.TASK", TaskConfig),
    *(("setup.loss.tasks.TASK", section) for section in members(TaskLossConfig)),
    *(("optim", section) for section in members(OptimConfig)),
    *(("scheduler", section) for section in members(SchedulerConfig)),
]
APART = [section for _, section in TABLES]
UNIONS = (Union, UnionType)
TYPES = {bool: "true, false", int: "integer", float: "number", str: "text"}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def reference() -> str:
    """The list of all tables, then the tables."""
    headings, tables = [], []
    for where, section in TABLES:
        named = _named_by(section)
        headings.append(where + "".join(f", {key}: {get_args(field.annotation)[0]}" for key, field in named.items()))
        rows = ["| " + " | ".join(row) + " |" for row in _rows(section)]
        table = ["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""] if rows else []
        summaries = [section.__doc__ or "", *(field.description or "" for field in named.values())]
        tables.append("\n".join([f"### {headings[-1]}", "", " ".join(" ".join(summaries).split()), "", *table]))
    contents = [f"- [{heading}](#{anchor(heading)})" for heading in headings]
    return "\n".join([*contents, "", *tables])


def anchor(heading: str) -> str:
    """The name by which pages link to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _named_by(section: type[Section]) -> dict[str, FieldInfo]:
    """The key whose only word tells a member of a union from the others."""
    literals = {key: field for key, field in section.model_fields.items() if get_origin(field.annotation) is Literal}
    return {key: field for key, field in literals.items() if len(get_args(field.annotation)) == 1}


def _rows(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, value, default and meaning of every key in a section and, with dotted keys, in those inside it."""
    named = _named_by(section)
    for key, field in section.model_fields.items():
        if key in named:
            continue
        inner = next((kind for kind in members(field.annotation) if is_section(kind) and kind not in APART), None)
        if inner is None or field.default is None:
            value = "keys below" if inner else _value(field.annotation, field.metadata)
            yield f"`{prefix}{key}`", value, _default(field), field.description or ""
        if inner is not None:
            yield from _rows(inner, f"{prefix}{key}.")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, (bool, NoneType)):
        return {True: "true", False: "false", None: "null"}[field.default]
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return str(default).replace("'", "")


def _value(kind: Any, metadata: Any = ()) -> str:
    """What may stand for a type, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _value(inner[0], (*metadata, *inner[1:]))
    if origin in UNIONS:
        return " or ".join(dict.fromkeys(_value(member) for member in inner if member is not NoneType))
    if kind is TaskName:
        return "task"
    if origin is Literal:
        return ", ".join(str(word) for word in inner)
    if origin is list:
        return f"list of {_value(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} times {_value(inner[0])}"
    if origin is dict:
        return f"{_value(inner[0])}: {_value(inner[1])}"
    if is_section(kind):
        return "table below"
    known = [datum for given in metadata for datum in (given.metadata if isinstance(given, FieldInfo) else [given])]
    limits = {name: getattr(datum, name) for datum in known for name in BOUNDS if hasattr(datum, name)}
    return " ".join([TYPES[kind], *(f"{word} {limits[name]:g}" for name, word in BOUNDS.items() if name in limits)])


def main() -> None:
    """Bring docs/configuration.md up to date."""
    head = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    write_atomically(PAGE, lambda file: file.write(f"{head}{MARKER}\n{reference()}".encode()))


if __name__ == "__main__":
    main()
