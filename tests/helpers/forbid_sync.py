"""A guard for tests: fails on operations that make the host wait for the device."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# `.item()`, `float()`, `if tensor` and selections whose size depends on the data; on a GPU `bincount` reads its largest
# value whatever its minlength.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::equal",
    "aten::bincount",
}


class ForbidSync(TorchDispatchMode):
    """`with ForbidSync():` raises AssertionError where the body would wait on a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        by_mask = name == "aten::index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        assert name not in WAITING and not by_mask, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))
