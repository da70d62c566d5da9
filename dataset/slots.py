"""Memory for batches that worker processes fill and the main process reads, used again and again.

New shared memory for every batch would cost either process a page fault every 4 KiB, and a tensor on its way between
processes a socket; both can take longer than all the rest. The main process gives each batch a slot when it asks a
worker for it, and the slot is free again when no tensor on it is left. Where all are in use, because batches are kept,
a batch goes without and is sent as PyTorch sends tensors.
"""

import itertools
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from dataset.base import DenseDataset, Key, Sample
from utils.errors import UserError

Batch = dict[str, Any]  # the samples' values: tensors with a leading batch axis, `index` int64 [B], `filename` list
Order = tuple[int | None, Sequence[Key]]  # what a worker is asked for: the number of a slot, and the samples


class Slots:
    """The slots of one loader, the same in the main process and its workers.

    Args:
        sample: one of the dataset.
        batch_size: how many samples a slot holds.
        count: of slots.

    Raises:
        UserError: There is too little shared memory.
    """

    def __init__(self, sample: Sample, *, batch_size: int, count: int) -> None:
        tensors = {name: value for name, value in sample.items() if isinstance(value, Tensor)}
        try:
            self.slots = [
                {
                    name: torch.empty((batch_size, *value.shape), dtype=value.dtype).share_memory_()
                    for name, value in tensors.items()
                }
                for _ in range(count)
            ]
        except RuntimeError as error:
            size = count * batch_size * sum(value.nbytes for value in tensors.values())
            raise UserError(
                f"shared memory (/dev/shm): no room for {size / 1e6:.0f} MB, {count} batches of workers; enlarge it "
                "(docker run --shm-size), or lower training.n_workers (0 needs none) or the batch size"
            ) from error
        self.key = next(_keys)
        self._free = list(range(count))
        _slots[self.key] = self

    def orders(self, batches: Iterable[Sequence[Key]]) -> Iterator[Order]:
        """What workers are asked for; a slot is taken in this moment."""
        for keys in batches:
            yield (self._free.pop() if self._free else None), keys

    def fill(self, number: int, dataset: DenseDataset, keys: Sequence[Key]) -> "FilledSlot":
        """In a worker: what `default_collate` makes of the samples, in a slot."""
        arrays = {name: tensor.numpy() for name, tensor in self.slots[number].items()}

        def load(position: int, key: Key) -> Sample:
            return dataset.load(key, lambda name, shape, dtype: arrays[name][position])

        samples = [load(position, key) for position, key in enumerate(keys)]
        others = {name: [sample[name] for sample in samples] for name in samples[0] if name not in arrays}
        return FilledSlot(self.key, number, len(keys), others)

    def opened(self, number: int, size: int) -> Batch:
        """In the main process: the tensors of the batch in a slot."""
        lease = _Lease(self._free, number)
        batch = {}
        for name, tensor in self.slots[number].items():
            array = tensor[:size].numpy().view(_LeasedArray)
            array.lease = lease
            batch[name] = torch.from_numpy(array)  # this and every view of it keep `array`
        return batch


@dataclass(frozen=True)
class FilledSlot:
    """A batch on its way from a worker.

    Args:
        slots: key of the `Slots`.
        number: of the slot.
        size: number of samples.
        others: their values that are no tensors.
    """

    slots: int
    number: int
    size: int
    others: dict[str, list[Any]]

    def opened(self) -> Batch:
        """The batch, in the main process."""
        others = {name: default_collate(values) for name, values in self.others.items()}
        return others | _slots[self.slots].opened(self.number, self.size)

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, as PyTorch's thread for it asks."""
        return {
            name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in self.opened().items()
        }


class _Lease:
    """Gives a slot back with its own end."""

    def __init__(self, free: list[int], number: int) -> None:
        self.free = free
        self.number = number

    def __del__(self) -> None:
        self.free.append(self.number)


class _LeasedArray(np.ndarray):
    lease: _Lease


_keys = itertools.count()
_slots: weakref.WeakValueDictionary[int, Slots] = weakref.WeakValueDictionary()  # of the loaders of this process
