"""What the cross-section checks of a config share."""

from collections.abc import Iterator, Sequence
from typing import Any

from utils.config.messages import KeyPath, Problem
from utils.config.types import Section


def unfit_options(options: Section, allowed: Sequence[str], owner: str, path: KeyPath) -> Iterator[Problem]:
    """A problem for every option given (not null) that `owner` does not take."""
    for name in type(options).model_fields:
        if getattr(options, name) is not None and name not in allowed:
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes no options"
            yield (*path, name), f"{owner} has no such option; {takes}"


def names(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items)) or "none"
