"""Parameter groups: which learning rate of `setup.lr` a parameter gets.

A key is a dotted prefix of parameter names (`backbone`, `heads.semseg`, `pose_net`); `params.<task>` stands for all
that serves one task, its head and its part of every exchange. The prefixes `main.` and `monodepth.`, which the
networks of the video setting have in published files, are left out of both keys and names.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from utils.errors import UserError

DEFAULT = "default"
WRAPPERS = ("main", "monodepth")


def parameter_groups(model: nn.Module, lr: Mapping[str, float]) -> list[dict[str, Any]]:
    """Sort the trainable parameters of `model` into one group per entry of `lr`, in its order.

    The key that says most about a parameter's name wins; parameters without any get `default`. Frozen parameters are
    left out, and so are groups that end up empty.

    Args:
        model: the network.
        lr: learning rate by key, `default` among them.

    Returns:
        Groups as an optimizer takes them, with "name" (the key without `main.` or `monodepth.`) and "lr".

    Raises:
        UserError: a key that names no parameter of the model, or two keys that name the same part.
    """
    rates = _strip_wrappers(lr)
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    named: dict[str, bool] = dict.fromkeys(rates, False)
    for full_name, parameter in model.named_parameters():
        path = _strip(full_name).split(".")
        best, best_length = DEFAULT, 0
        for key in rates:
            length = _match_length(key, path)
            named[key] |= length > 0
            if length > best_length:
                best, best_length = key, length
        if parameter.requires_grad:
            groups[best].append(parameter)
    _check_all_named(named, model, lr)
    return [{"name": name, "params": group, "lr": rates[name]} for name, group in groups.items() if group]


def _strip(name: str) -> str:
    """A name or key without the prefix of the video setting's networks."""
    first, _, rest = name.partition(".")
    return rest if first in WRAPPERS and rest else name


def _strip_wrappers(lr: Mapping[str, float]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for key, rate in lr.items():
        if _strip(key) in rates:
            raise UserError(f"setup.lr.{key}: another key already names {_strip(key)}; keep one of them")
        rates[_strip(key)] = rate
    return rates


def _match_length(key: str, path: list[str]) -> float:
    """How many parts of a parameter's path a key names; 0 where it is another parameter's."""
    parts = key.split(".")
    if parts[0] != "params":
        return len(parts) if path[: len(parts)] == parts else 0
    # Below `heads.<task>`, which says more, but above `heads` alone.
    task = parts[1:]
    in_head = path[0] == "heads" and path[1:2] == task
    in_exchange = path[0] == "exchanges" and path[2:3] == task  # exchanges.<stage>.<task>
    return 1.5 if in_head or in_exchange else 0


def _check_all_named(named: Mapping[str, bool], model: nn.Module, lr: Mapping[str, float]) -> None:
    unknown = [key for key in lr if _strip(key) != DEFAULT and not named[_strip(key)]]
    if not unknown:
        return
    valid = _valid_keys(model)
    lines = []
    for key in unknown:
        close = get_close_matches(_strip(key), valid, n=1)
        hint = f"did you mean {close[0]}?" if close else f"valid are {', '.join([DEFAULT, *valid])}"
        lines.append(f"setup.lr.{key}: names no parameter of the model; {hint}")
    raise UserError("\n".join(lines))


def _valid_keys(model: nn.Module) -> list[str]:
    """The keys most files need: each part of the model, each head, all that serves a task."""
    paths = [_strip(name).split(".") for name, _ in model.named_parameters()]
    tasks = dict.fromkeys(path[1] for path in paths if path[0] == "heads")
    parts = dict.fromkeys(path[0] for path in paths if path[0] not in ("heads", "exchanges"))
    return [*parts, *(f"heads.{task}" for task in tasks), *(f"params.{task}" for task in tasks)]
