"""Batches of samples: an endless, resumable, sharded stream for training; one pass over all images for evaluation."""

import atexit
import signal
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from dataset.base import DenseDataset, Key, Sample
from utils.errors import UserError

Batch = dict[str, Any]  # the samples' values: tensors with a leading batch axis, `index` int64 [B], `filename` list
PREFETCH = 2  # batches on their way from each worker
SLOTS = PREFETCH + 2  # and one in the reader's hands, and the one it had before


class TrainSampler:
    """Endless batches of (epoch, index), a pure function of the arguments.

    The stream is one permutation of the dataset after the other (or its order, again and again); batch k of all
    processes together covers the positions from k * world_size * batch_size on, and each process its own part of them.

    Args:
        length: of the dataset.
        batch_size: of each process.
        seed: of the permutations.
        shuffle: false keeps the order of the dataset.
        start_batch: the first batch, to go on where another run stopped.
        rank, world_size: this process and their number.
    """

    def __init__(
        self,
        *,
        length: int,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        start_batch: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if start_batch < 0:
            raise ValueError(f"start_batch must not be negative, got {start_batch}")
        _check_rank(rank, world_size)
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.start_batch = start_batch
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch = self.start_batch
        epoch, order = -1, range(0)
        while True:
            start = (batch * self.world_size + self.rank) * self.batch_size
            keys = []
            for position in range(start, start + self.batch_size):
                if position // self.length != epoch:
                    epoch = position // self.length
                    order = self._order(epoch)
                keys.append((epoch, order[position % self.length]))
            yield keys
            batch += 1

    def _order(self, epoch: int) -> Sequence[int]:
        if not self.shuffle:
            return range(self.length)
        # The leading 0 keeps these streams apart from those of the samples.
        return np.random.default_rng((0, self.seed % 2**32, epoch)).permutation(self.length).tolist()


def train_loader(
    dataset: DenseDataset,
    *,
    batch_size: int,
    workers: int,
    seed: int,
    shuffle: bool = True,
    start_batch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> DataLoader:
    """Training batches without end, from `start_batch` on; arguments as in `TrainSampler`.

    With workers and without `pin_memory`, a batch lies in memory that is used again: it is valid until the next but one
    is taken; clone what is kept longer. Iterating raises UserError, message and all, where loading a sample does.
    """
    sampler = TrainSampler(
        length=len(dataset), batch_size=batch_size, seed=seed, shuffle=shuffle, start_batch=start_batch, rank=rank,
        world_size=world_size,
    )  # fmt: skip
    return _loader(dataset, sampler, workers=workers, pin_memory=pin_memory, persistent=True)


def eval_loader(
    dataset: DenseDataset,
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    limit: int | None = None,
    pin_memory: bool = False,
) -> DataLoader:
    """One pass in order: over all processes every image exactly once, the last batch as small as it comes.

    Process r gets the batches r, r + world_size, ... of those that a single process would have, since a loss may depend
    on what is in a batch beside an image. How long a batch is valid, and what iterating raises: as in `train_loader`.

    Args:
        limit: only this many images of the dataset, the first ones, over all processes together.
    """
    _check_rank(rank, world_size)
    total = len(dataset) if limit is None else min(limit, len(dataset))
    batches = [list(range(total)[start : start + batch_size]) for start in range(0, total, batch_size)]
    return _loader(dataset, batches[rank::world_size], workers=workers, pin_memory=pin_memory, persistent=False)


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in 0..{world_size - 1}, got {rank} of world_size {world_size}")


def _loader(
    dataset: DenseDataset, batches: TrainSampler | list[list[int]], *, workers: int, pin_memory: bool, persistent: bool
) -> DataLoader:
    cv2.setNumThreads(0)  # loading in this process leaves the cores to PyTorch, too
    return _RaisingLoader(
        _Batches(dataset),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        prefetch_factor=PREFETCH if workers else None,
        worker_init_fn=_start_worker,
        persistent_workers=persistent and workers > 0,
        # Workers are seeded from here; without it, starting a loader would advance the global generator.
        generator=torch.Generator(),
    )


@dataclass(frozen=True)
class _Failure:
    """A UserError on its way from a worker to the main process."""

    message: str


class _Batches(Dataset):
    """The batches of a dataset, made where PyTorch asks for lists of samples.

    UserErrors are handed on as values: raised in a worker, PyTorch would bury their message in a traceback.
    """

    def __init__(self, dataset: DenseDataset) -> None:
        self.dataset = dataset
        self._slots: list[dict[str, Tensor]] = [{} for _ in range(SLOTS)]
        self._made = 0

    def __getitems__(self, keys: Sequence[Key]) -> Batch | _Failure:
        try:
            samples = [self.dataset[key] for key in keys]
        except UserError as error:
            return _Failure(str(error))
        return default_collate(samples) if get_worker_info() is None else self._collate_shared(samples)

    def _collate_shared(self, samples: Sequence[Sample]) -> Batch:
        """What `default_collate` gives, in memory shared with the main process that earlier batches were in.

        New shared memory costs either process a page fault every 4 KiB, which can take longer than all the rest.
        """
        slot = self._slots[self._made % SLOTS]
        self._made += 1
        batch: Batch = {}
        for name, first in samples[0].items():
            values = [sample[name] for sample in samples]
            if not isinstance(first, Tensor):
                batch[name] = default_collate(values)
                continue
            shape = (len(values), *first.shape)
            if name not in slot or slot[name].shape != shape:
                slot[name] = torch.empty(shape, dtype=first.dtype).share_memory_()
            batch[name] = torch.stack(values, out=slot[name])
        return batch


class _RaisingLoader(DataLoader):
    """A DataLoader that raises the UserErrors its workers handed on, and ends its workers when the process ends."""

    def __iter__(self) -> Iterator[Batch]:
        batches = super().__iter__()
        if isinstance(batches, _MultiProcessingDataLoaderIter):
            # Workers ignore SIGTERM, with which multiprocessing would end them at the exit, and wait for it for ever.
            atexit.register(_end_workers, weakref.ref(batches))
        return self._raising(batches)

    def _raising(self, batches: Iterator[Batch | _Failure]) -> Iterator[Batch]:
        try:
            for batch in batches:
                if isinstance(batch, _Failure):
                    raise UserError(batch.message)
                yield batch
        except (UserError, GeneratorExit):
            # Drop the workers here: kept alive by the traceback's frames, they would die as cyclic garbage, which
            # PyTorch takes seconds over (their queues are closed before they are told to end).
            self._iterator = None
            del batches
            raise


def _end_workers(batches: weakref.ref[_MultiProcessingDataLoaderIter]) -> None:
    """Also of an iterator that the traceback of an error keeps alive."""
    iterator = batches()
    if iterator is not None:
        iterator._shutdown_workers()


def _unchanged(batch: Batch | _Failure) -> Batch | _Failure:
    """In place of a collation: the samples are a batch already."""
    return batch


def only_load() -> None:
    """Set up a process that does nothing but load samples: one thread, as parallelism comes from their number."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _start_worker(worker: int) -> None:
    """Set up a worker process."""
    only_load()
    # Ctrl-C, a scheduler's or torchrun's SIGTERM reach all processes at once. The main process decides what happens
    # then and needs its workers until it has saved; it ends them itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
