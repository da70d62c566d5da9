"""Processes that train together: who this one is, and the few collectives the rest of the code needs.

`torchrun` starts the processes and tells each its place in the environment; without it there is one process and every
collective is a no-op. Tensors on a GPU travel over nccl, everything on the CPU over gloo.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """This process's place among those that train together."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    @property
    def is_distributed(self) -> bool:
        return self.world_size > 1

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.is_distributed:
            dist.barrier()

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place."""
        if self.is_distributed:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one collective a dtype.

        One all-reduce after the last backward of a step, rather than DistributedDataParallel's hooks inside each:
        those expect one forward and one backward that reach every parameter, while domain adaptation runs two of each
        and a config may leave an output unsupervised. A parameter without gradient here counts as zero, since another
        process may have one.
        """
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        if not self.is_distributed or all(parameter.grad is None for parameter in learning):
            return  # nothing to share: a network whose training has not begun, on any process
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_dtype.values():
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            flat /= self.world_size
            for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(mean.view(gradient.shape))

    def any(self, flag: int) -> int:
        """The largest of all processes' flags. Travels on the CPU, so that it never waits for the GPU."""
        if not self.is_distributed:
            return flag
        shared = torch.tensor([flag], dtype=torch.int64)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared)

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the main process's, in place."""
        if self.is_distributed:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def gather(self, value: Any) -> list[Any]:
        """Every process's `value`, in the order of ranks."""
        if not self.is_distributed:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """The main process's `value`, on every process."""
        if not self.is_distributed:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        """Leave the group; call once, at the end."""
        if self.is_distributed and dist.is_initialized():
            dist.destroy_process_group()


def join_processes(device: torch.device) -> Processes:
    """Join the group that `torchrun` describes in the environment, or be the only process."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return Processes()
    processes = Processes(int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0")), world_size)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    return processes
