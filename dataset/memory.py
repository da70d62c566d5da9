"""Memory of batches: tensors of this process, or blocks that the workers of a loader share with the main process.

New shared memory costs either process a page fault every 4 KiB, which takes longer than filling it does. Blocks are
therefore used again: a block is free once nothing in the main process refers to the batch that was last in it, as its
first byte tells. Only the first batch in a block brings the block along; later ones name it.
"""

import ctypes
import itertools
import math
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes, of every tensor in a block
FREE, IN_USE = 0, 1  # the first byte of a block; new shared memory is zero
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@dataclass(frozen=True)
class Field:
    """One kind of value of a sample; a batch of B samples holds it as a tensor [B, *shape]."""

    dtype: torch.dtype
    shape: tuple[int, ...]


Fields = Mapping[str, Field]
Batch = dict[str, Any]  # the samples' values: tensors with a leading batch axis, `index` int64 [B], `filename` list


def keep_freed_memory() -> None:
    """Let this process keep what it frees instead of giving it back, for every sample needs as much again.

    With glibc's own settings the images of many a sample are new memory, which costs its page faults. Does nothing with
    another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 25)  # the largest there is: 32 MiB
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def new_tensors(fields: Fields, samples: int) -> dict[str, Tensor]:
    """Tensors for a batch that stays in this process, not filled."""
    return {name: torch.empty((samples, *field.shape), dtype=field.dtype) for name, field in fields.items()}


class LoaderBlocks:
    """The blocks that came from the workers of one loader, in the main process.

    Args:
        fields: what its batches hold.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.number = next(_numbers)
        self._blocks: dict[tuple[int, int], np.ndarray] = {}  # by worker and number
        _loaders[self.number] = self

    def open(self, *, worker: int, number: int, block: Tensor | None, samples: int) -> dict[str, Tensor]:
        """The tensors of a batch in a block, which is in use until none of them, and no view of one, is left."""
        if block is not None:
            self._blocks[worker, number] = block.numpy()
        memory = self._blocks[worker, number]
        lease = memory.view()  # lives as long as the tensors on it
        weakref.finalize(lease, _release, memory, os.getpid())
        return _tensors_on(lease, self.fields, samples)


def _release(memory: np.ndarray, owner: int) -> None:
    """Tell the worker that a batch is gone from the main process; a process forked from that has no say in it."""
    if os.getpid() == owner:
        memory[0] = FREE


_numbers = itertools.count()
_loaders: weakref.WeakValueDictionary[int, LoaderBlocks] = weakref.WeakValueDictionary()


@dataclass
class _Block:
    """Shared memory for batches of a number of samples, in the worker that made it."""

    number: int
    shared: Tensor  # uint8, all of it
    memory: np.ndarray  # the same
    samples: int
    tensors: dict[str, Tensor]
    sent: bool = False


class WorkerBlocks:
    """The blocks of one worker: as many as it takes for one to be free whenever a batch is made.

    Args:
        fields: what the batches hold.
        loader: number of the `LoaderBlocks` in the main process.
        worker: number of the worker.
    """

    def __init__(self, fields: Fields, *, loader: int, worker: int) -> None:
        self.fields = fields
        self.loader = loader
        self.worker = worker
        self._blocks: list[_Block] = []

    def make(self, samples: int, fill: Callable[[dict[str, Tensor]], Batch]) -> "SharedBatch":
        """A batch on its way to the main process.

        Args:
            samples: how many it has.
            fill: fills the tensors it is given and tells what else there is in the batch.
        """
        block = self._free(samples)
        others = fill(block.tensors)
        block.memory[0] = IN_USE
        shared = None if block.sent else block.shared
        block.sent = True
        return SharedBatch(self.loader, self.worker, block.number, shared, samples, others)

    def _free(self, samples: int) -> _Block:
        for block in self._blocks:
            if block.samples == samples and block.memory[0] == FREE:
                return block
        size = _offsets(self.fields, samples)[-1]
        storage = torch.UntypedStorage._new_shared(size)  # as PyTorch's own collation does in a worker
        shared = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,))
        memory = shared.numpy()
        block = _Block(len(self._blocks), shared, memory, samples, _tensors_on(memory, self.fields, samples))
        self._blocks.append(block)
        return block


@dataclass(frozen=True)
class SharedBatch:
    """What a worker sends of a batch; arrives as the `Batch` itself."""

    loader: int
    worker: int
    number: int
    block: Tensor | None  # None: the main process has it
    samples: int
    others: Batch

    def open(self) -> Batch:
        """What arrives."""
        receive, arguments = self.__reduce__()
        return receive(*arguments)

    def __reduce__(self) -> tuple:
        return _received, (self.loader, self.worker, self.number, self.block, self.samples, self.others)


def _received(loader: int, worker: int, number: int, block: Tensor | None, samples: int, others: Batch) -> Batch:
    blocks = _loaders.get(loader)
    if blocks is None:  # the loader is gone, nobody waits for its batches
        return others
    return {**blocks.open(worker=worker, number=number, block=block, samples=samples), **others}


def _offsets(fields: Fields, samples: int) -> list[int]:
    """Where the tensors of a batch begin in a block, and where the last one ends, in bytes."""
    offsets = [ALIGNMENT]
    for field in fields.values():
        size = samples * math.prod(field.shape) * field.dtype.itemsize
        offsets.append(offsets[-1] + -(-size // ALIGNMENT) * ALIGNMENT)
    return offsets


def _tensors_on(memory: np.ndarray, fields: Fields, samples: int) -> dict[str, Tensor]:
    """The tensors of a batch in a block [bytes]; they keep `memory`, the very object, alive."""
    tensors = {}
    for (name, field), offset in zip(fields.items(), _offsets(fields, samples)[:-1], strict=True):
        shape = (samples, *field.shape)
        tensor = torch.frombuffer(memory, dtype=field.dtype, count=math.prod(shape), offset=offset)
        tensors[name] = tensor.view(shape)
    return tensors
