"""Processes that train together: the place of this one, and the few collectives the rest of the code needs.

`torchrun` starts the processes and describes the place of each in the environment; without it there is one process and
every collective is a no-op. Tensors on a GPU travel over nccl, everything on the CPU over gloo.
"""

import ctypes
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.errors import Failure, UserError

TIMEOUT = timedelta(minutes=30)  # how long a collective waits for a process before all end
BUCKET_BYTES = 25 * 2**20  # of gradients that travel together
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
IN_FLIGHT = 2  # buckets being reduced while the next is packed
CLAIM, SAID = "last_word/claims", "last_word/said"  # keys of the store, see `Processes.last_word`


class PeerLost(Failure):
    """Another process has ended or does not answer, so that this one cannot go on."""


@dataclass(frozen=True)
class Processes:
    """This process's place among those that train together.

    Every process must call the same collectives in the same order; each raises PeerLost where another has ended.
    """

    rank: int = 0
    world_size: int = 1
    store: dist.Store | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    @property
    def is_distributed(self) -> bool:
        return self.world_size > 1

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.max_flag(0)  # not dist.barrier(), which waits for the GPU too

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place."""
        if self.is_distributed:
            with _collective():
                for tensor in tensors:
                    dist.all_reduce(tensor)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes.

        Called after the last backward of a step, instead of DistributedDataParallel's hooks in each: those expect one
        forward and one backward that reach every parameter, while domain adaptation runs two of each and a config may
        leave an output unsupervised. A parameter without a gradient on some processes counts as zero there; one
        without any gradient stays without, so that optimizers skip it as they do in a single process.
        """
        if not self.is_distributed:
            return
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        known = torch.tensor([parameter.grad is not None for parameter in learning], dtype=torch.uint8)
        with _collective():
            dist.all_reduce(known, op=dist.ReduceOp.MAX)
            gradients = []
            for parameter, anywhere in zip(learning, known.tolist(), strict=True):
                if anywhere:
                    parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                    gradients.append(parameter.grad)
            # In a few buckets rather than all at once, to save memory and to pack one while another travels.
            in_flight: deque[tuple[list[Tensor], Tensor, dist.Work]] = deque()
            for bucket in _buckets(gradients):
                flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
                in_flight.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
                if len(in_flight) > IN_FLIGHT:
                    self._unpack_mean(*in_flight.popleft())
            for sent in in_flight:
                self._unpack_mean(*sent)

    def _unpack_mean(self, bucket: list[Tensor], flat: Tensor, work: dist.Work) -> None:
        """Wait for the sum of a bucket and spread its mean over the gradients."""
        work.wait()
        flat /= self.world_size
        for gradient, mean in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def max_flag(self, flag: int) -> int:
        """The largest of all processes' flags. Travels on the CPU, so that it never waits for the GPU."""
        if not self.is_distributed:
            return flag
        shared = torch.tensor([flag], dtype=torch.int64)
        with _collective():
            dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared)

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the main process's, in place."""
        if self.is_distributed:
            with _collective():
                for tensor in tensors:
                    dist.broadcast(tensor, src=0)

    def gather(self, value: Any) -> list[Any]:
        """Every process's `value`, in the order of ranks."""
        if not self.is_distributed:
            return [value]
        values: list[Any] = [None] * self.world_size
        with _collective():
            dist.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """The main process's `value`, on every process."""
        if not self.is_distributed:
            return value
        box = [value]
        with _collective():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def last_word(self, message: str) -> None:
        """Print on stderr why the run ends, unless another process does.

        Returns once any process has printed, because `torchrun` ends all as soon as one has ended. This is not a
        collective, as the others may be anywhere.
        """
        with suppress(RuntimeError):  # the store may have died with its process: better two messages than none
            if self.store is not None and self.store.add(CLAIM, 1) > 1:
                self.store.wait([SAID], timedelta(seconds=10))
                return
        print(message, file=sys.stderr, flush=True)
        with suppress(RuntimeError):
            if self.store is not None:
                self.store.set(SAID, "")

    def close(self) -> None:
        """Leave the group; to be called once, at the end."""
        if self.is_distributed and dist.is_initialized():
            dist.destroy_process_group()


def join_processes() -> Processes:
    """Join the group that `torchrun` describes in the environment, or be the only process.

    Raises:
        UserError: The environment announces several processes but not how to find them, or they cannot be reached.
    """
    announced = os.environ.get("WORLD_SIZE", "1")
    if announced == "1":
        return Processes()
    if under_torchrun():
        end_with_parent()
    has_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, rank, world_size = next(dist.rendezvous("env://", timeout=TIMEOUT))
        backend = "cpu:gloo,cuda:nccl" if has_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"WORLD_SIZE={announced}: cannot join the other processes ({str(error).splitlines()[0]}); start all of "
            "them with torchrun, or unset WORLD_SIZE"
        ) from error
    return Processes(rank, world_size, store)


def under_torchrun() -> bool:
    """Whether `torchrun` started this process; it then forwards signals, and ends this process when another ends."""
    return dist.is_torchelastic_launched()


def end_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies; on Linux only.

    Without it, processes whose `torchrun` was killed keep training alongside those started in their place.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The gradients in their order, in runs of one dtype and at most `BUCKET_BYTES` unless one alone is larger."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        size = sum(other.nbytes for other in bucket) + gradient.nbytes
        if bucket and (size > BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


@contextmanager
def _collective() -> Iterator[None]:
    """Turn gloo's error about a lost process, a plain RuntimeError, into PeerLost."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise  # this process's own
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]  # without gloo's own advice
        raise PeerLost(f"another process has ended or does not answer ({reason}); its own output says why") from error
