"""Batches of samples: an endless, resumable, sharded stream for training; one pass over all images for evaluation."""

import atexit
import signal
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from dataset.base import DenseDataset, Key
from dataset.slots import Batch, FilledSlot, Order, Slots
from utils.errors import UserError

PREFETCH = 2  # batches on their way from each worker


@dataclass(frozen=True, kw_only=True)
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

    length: int
    batch_size: int
    seed: int
    shuffle: bool = True
    start_batch: int = 0
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch = self.start_batch
        epoch = -1
        order: Sequence[int] = ()
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


@dataclass(frozen=True, kw_only=True)
class BatchLoader:
    """Batches in the order of their keys; every iteration has worker processes of its own.

    Args:
        dataset: what the keys belong to.
        batches: the keys of each batch.
        batch_size: how many keys a batch has at most.
        workers: number of processes; 0 loads in this one.
        pin_memory: whether a thread copies batches to page-locked memory, where there is a GPU.
    """

    dataset: DenseDataset
    batches: Iterable[Sequence[Key]]
    batch_size: int
    workers: int
    pin_memory: bool

    def __len__(self) -> int:
        if not isinstance(self.batches, Sized):
            raise TypeError("batches without end have no length")
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """
        Raises:
            UserError: As loading a sample does, message and all, whichever process did.
        """
        cv2.setNumThreads(0)  # loading in this process leaves the cores to PyTorch, too
        # Beside the batches on their way: one that has just arrived, and the one before in its user's hands.
        count = self.workers * PREFETCH + 2 if self.workers else 0
        slots = Slots(self.dataset[0] if count else {}, batch_size=self.batch_size, count=count)
        arriving = DataLoader(
            _Batches(self.dataset, slots),
            batch_sampler=cast(Any, slots.orders(self.batches)),  # which may be anything
            num_workers=self.workers,
            collate_fn=_unchanged,
            pin_memory=self.pin_memory,
            prefetch_factor=PREFETCH if self.workers else None,
            worker_init_fn=_start_worker,
            # Workers are seeded from here; without it, starting a loader would advance the global generator.
            generator=torch.Generator(),
        )
        batches = _opened(iter(arriving), slots)
        # Workers ignore SIGTERM, with which multiprocessing would end them at the exit, and wait for it.
        atexit.register(_close, weakref.ref(batches))
        return batches


def _opened(arriving: Iterator[Any], slots: Slots) -> Generator[Batch]:
    """The batches that arrive; `slots` live as long."""
    try:
        for batch in arriving:
            if isinstance(batch, _Failure):
                raise UserError(batch.message)
            yield batch.opened() if isinstance(batch, FilledSlot) else batch
    except Exception as error:
        if not slots.slots:
            raise
        # A traceback through PyTorch keeps the workers, which end with `arriving`; the worker's own is in the message.
        raise error.with_traceback(None) from None
    finally:
        del arriving


def _close(batches: weakref.ref[Generator[Batch]]) -> None:
    generator = batches()
    if generator is not None:
        generator.close()


@dataclass(frozen=True)
class _Failure:
    """A UserError on its way from a worker to the main process: raised there, PyTorch would bury it in a traceback."""

    message: str


class _Batches(Dataset):
    """The batches of a dataset, made where PyTorch asks for lists of samples."""

    def __init__(self, dataset: DenseDataset, slots: Slots) -> None:
        self.dataset = dataset
        self.slots = slots

    def __getitems__(self, order: Order) -> Batch | FilledSlot | _Failure:
        number, keys = order
        try:
            if number is None:
                return default_collate([self.dataset[key] for key in keys])
            return self.slots.fill(number, self.dataset, keys)
        except UserError as error:
            return _Failure(str(error))


def _unchanged(batch: Any) -> Any:
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
) -> BatchLoader:
    """Training batches without end, from `start_batch` on; arguments as in `TrainSampler` and `BatchLoader`."""
    sampler = TrainSampler(
        length=len(dataset), batch_size=batch_size, seed=seed, shuffle=shuffle, start_batch=start_batch, rank=rank,
        world_size=world_size,
    )  # fmt: skip
    return BatchLoader(dataset=dataset, batches=sampler, batch_size=batch_size, workers=workers, pin_memory=pin_memory)


def eval_loader(
    dataset: DenseDataset,
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    limit: int | None = None,
    pin_memory: bool = False,
) -> BatchLoader:
    """One pass in order: over all processes every image exactly once, the last batch as small as it comes.

    Process r gets the batches r, r + world_size, ... of those that a single process would have, since a loss may depend
    on what is in a batch beside an image.

    Args:
        limit: only this many images of the dataset, the first ones, over all processes together.
    """
    total = len(dataset) if limit is None else min(limit, len(dataset))
    batches = [list(range(total)[start : start + batch_size]) for start in range(0, total, batch_size)]
    return BatchLoader(
        dataset=dataset,
        batches=batches[rank::world_size],
        batch_size=batch_size,
        workers=workers,
        pin_memory=pin_memory,
    )
