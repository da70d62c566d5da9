"""Batches of samples: an endless, resumable, sharded stream for training; one pass over all images for evaluation."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from dataset.base import DenseDataset, Key
from dataset.memory import Batch, LoaderBlocks, SharedBatch, WorkerBlocks, keep_freed_memory
from utils.errors import UserError

_KNOWS_SENDER = hasattr(signal, "sigwaitinfo")  # Linux: a process can tell who sent it a signal


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
    """Training batches without end, from `start_batch` on; arguments as of `TrainSampler`.

    Iterating it raises UserError, message and all, where loading a sample does.
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
    on what is in a batch beside an image. Iterating raises UserError as in `train_loader`.

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
    blocks = LoaderBlocks(dataset.fields)
    loader = _RaisingLoader(
        _Batches(dataset, loader=blocks.number),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        persistent_workers=persistent and workers > 0,
        # Workers are seeded from here; without it, starting a loader would advance the global generator.
        generator=torch.Generator(),
    )
    loader.blocks = blocks
    return loader


@dataclass(frozen=True)
class _Failure:
    """A UserError on its way from a worker to the main process."""

    message: str


class _Batches(Dataset):
    """The batches of a dataset, made where PyTorch asks for lists of samples; in a worker, in shared memory.

    UserErrors are handed on as values: raised in a worker, PyTorch would bury their message in a traceback.
    """

    def __init__(self, dataset: DenseDataset, *, loader: int) -> None:
        self.dataset = dataset
        self.loader = loader
        self.blocks: WorkerBlocks | None = None

    def __getitems__(self, keys: Sequence[Key]) -> Batch | SharedBatch | _Failure:
        try:
            worker = get_worker_info()
            return self.dataset.batch(keys) if worker is None else self.shared(keys, worker=worker.id)
        except UserError as error:
            return _Failure(str(error))

    def shared(self, keys: Sequence[Key], *, worker: int) -> SharedBatch:
        """A batch as the worker of this number makes it."""
        if self.blocks is None:
            self.blocks = WorkerBlocks(self.dataset.fields, loader=self.loader, worker=worker)
        return self.blocks.make(len(keys), partial(self.dataset.fill, keys))


class _RaisingLoader(DataLoader):
    """A DataLoader that raises the UserErrors its workers handed on."""

    blocks: LoaderBlocks  # what the workers' batches arrive in

    def __iter__(self) -> Iterator[Batch]:
        with _sigterm_blocked():  # the workers start here and inherit it, with all threads they will have
            batches = super().__iter__()
        return self._raising(batches)

    def _raising(self, batches: Iterator[Batch | _Failure]) -> Iterator[Batch]:
        try:
            # Not a loop: its variable would keep a batch in use while the next one is waited for.
            yield from map(_checked, batches)
        except UserError:
            # Drop the workers here: kept alive by the traceback's frames, they would die as cyclic garbage, which
            # PyTorch takes seconds over (their queues are closed before they are told to end).
            self._iterator = None
            del batches
            raise


def _checked(batch: Batch | _Failure) -> Batch:
    if isinstance(batch, _Failure):
        raise UserError(batch.message)
    return batch


def _unchanged(batch: Batch | SharedBatch | _Failure) -> Batch | SharedBatch | _Failure:
    """In place of a collation: the samples are a batch already."""
    return batch


def only_load() -> None:
    """Set up a process that does nothing but load samples."""
    # One thread: parallelism comes from the number of workers.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    keep_freed_memory()


def _start_worker(worker: int) -> None:
    """Set up a worker process."""
    only_load()
    # Ctrl-C, a scheduler's or torchrun's SIGTERM reach all processes at once. The main process decides what happens
    # then and needs its workers until it has saved, so they listen to nobody else.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()  # not os.getppid(), which under forkserver is the server
    if _KNOWS_SENDER and parent is not None:
        threading.Thread(target=_end_when_parent_says, args=(parent.pid,), daemon=True).start()


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    if not _KNOWS_SENDER:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_when_parent_says(parent: int) -> None:
    """Wait for a SIGTERM sent by `parent`, then end this process."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
