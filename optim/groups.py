"""Parameter groups: which learning rate of `setup.lr` a parameter gets.

A key is a dotted prefix of parameter names (`backbone`, `heads.semseg`, `pose_net`); `params.<task>` stands for all
that serves one task, its head and its part of every exchange. The prefixes `main.` and `monodepth.`, which the
networks of the video setting have in published files, are left out of both keys and names.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import nn

from utils.constants import without_wrapper
from utils.errors import UserError

DEFAULT = "default"


class TaskNetwork(Protocol):
    """What is asked of a network here."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]: ...


def parameter_groups(model: TaskNetwork, lr: Mapping[str, float]) -> list[dict[str, Any]]:
    """Sort the trainable parameters of `model` into one group per entry of `lr`, in its order.

    The key that says most about a parameter's name wins; parameters without any get `default`. Frozen parameters are
    left out, and so are groups that end up empty. The groups are as an optimizer takes them, with "name" (the key
    without `main.` or `monodepth.`) and "lr".

    Raises:
        UserError: a key that names no parameter of the model.
    """
    rates = {without_wrapper(key): rate for key, rate in lr.items()}
    served = {f"params.{task}": {id(p) for p in model.task_parameters(task)} for task in model.tasks}
    groups: dict[str, list[nn.Parameter]] = {key: [] for key in rates}
    unused = set(rates) - {DEFAULT}
    for name, parameter in model.named_parameters():
        path = f"{without_wrapper(name)}."
        naming = {DEFAULT: 0.0}  # the keys that name this parameter, and how much they say
        for key in rates:
            if id(parameter) in served.get(key, ()):
                naming[key] = 1.5  # less than `heads.<task>`, but more than `heads` alone
            elif path.startswith(f"{key}."):
                naming[key] = key.count(".") + 1
        unused -= naming.keys()
        if parameter.requires_grad:
            groups[max(naming, key=naming.__getitem__)].append(parameter)
    for key in lr:
        if without_wrapper(key) in unused:
            raise UserError(f"setup.lr.{key}: no parameter's name begins so; names are like {without_wrapper(name)}")
    return [{"name": name, "params": group, "lr": rates[name]} for name, group in groups.items() if group]
