"""Parameter groups: which learning rate of `setup.lr` a parameter gets.

A key is a dotted prefix of parameter names (`backbone`, `heads.semseg`, `pose_net`); `params.<task>` stands for all
that serves one task, its head and its part of every exchange. The prefixes `main.` and `monodepth.`, which the
networks of the video setting have in published files, are left out of both keys and names.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import nn

from utils.errors import UserError

DEFAULT = "default"
WRAPPERS = ("main", "monodepth")


class TaskNetwork(Protocol):
    """What is asked of a network here."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]: ...


def parameter_groups(model: TaskNetwork, lr: Mapping[str, float]) -> list[dict[str, Any]]:
    """Sort the trainable parameters of `model` into one group per entry of `lr`, in its order.

    The key that says most about a parameter's name wins; parameters without any get `default`. Frozen parameters are
    left out, and so are groups that end up empty.

    Args:
        model: the network.
        lr: learning rate by key, `default` among them.

    Returns:
        Groups as an optimizer takes them, with "name" (the key without `main.` or `monodepth.`) and "lr".

    Raises:
        UserError: keys that name no parameter of the model.
    """
    rates = {_strip(key): rate for key, rate in lr.items()}
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    named: dict[str, bool] = dict.fromkeys(rates, False)
    served = {f"params.{task}": {id(p) for p in model.task_parameters(task)} for task in model.tasks}
    for full_name, parameter in model.named_parameters():
        path = _strip(full_name).split(".")
        best, best_length = DEFAULT, 0
        for key in rates:
            # `params.<task>` says less than `heads.<task>`, but more than `heads` alone.
            length = 1.5 * (id(parameter) in served[key]) if key in served else _match_length(key, path)
            named[key] |= length > 0
            if length > best_length:
                best, best_length = key, length
        if parameter.requires_grad:
            groups[best].append(parameter)
    unknown = [key for key in lr if _strip(key) != DEFAULT and not named[_strip(key)]]
    if unknown:
        valid = ", ".join(_valid_keys(model))
        raise UserError(
            "\n".join(f"setup.lr.{key}: names no parameter of the model; valid are {valid}" for key in unknown)
        )
    return [{"name": name, "params": group, "lr": rates[name]} for name, group in groups.items() if group]


def _strip(name: str) -> str:
    """A name or key without the prefix of the video setting's networks."""
    first, _, rest = name.partition(".")
    return rest if first in WRAPPERS and rest else name


def _match_length(key: str, path: list[str]) -> int:
    """How many parts of a parameter's path a key names; 0 where it is another parameter's."""
    parts = key.split(".")
    return len(parts) if path[: len(parts)] == parts else 0


def _valid_keys(model: TaskNetwork) -> list[str]:
    """The keys most files need: each part of the model, each head, all that serves a task."""
    names = [_strip(name).partition(".")[0] for name, _ in model.named_parameters()]
    parts = [name for name in dict.fromkeys(names) if name not in ("heads", "exchanges")]
    return [DEFAULT, *parts, *(f"{kind}.{task}" for kind in ("heads", "params") for task in model.tasks)]
