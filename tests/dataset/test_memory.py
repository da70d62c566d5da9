import gc
import os
import platform
import resource

import cv2
import numpy as np
import pytest
import torch

from dataset.base import DenseDataset
from dataset.loader import train_loader
from dataset.memory import FREE, IN_USE, Field, LoaderBlocks, WorkerBlocks, keep_freed_memory

FIELDS = {
    "image": Field(torch.float32, (3, 5, 7)),
    "mask": Field(torch.bool, (1, 5, 7)),
    "semseg": Field(torch.int64, (5, 7)),
    "index": Field(torch.int64, ()),
}


def filling(value):
    """Fills every tensor with a value."""

    def fill(tensors):
        for tensor in tensors.values():
            tensor.fill_(value)
        return {"filename": [str(value)]}

    return fill


@pytest.fixture
def loader():
    return LoaderBlocks(FIELDS)


@pytest.fixture
def worker(loader):
    return WorkerBlocks(FIELDS, loader=loader.number, worker=0)


def test_a_batch_arrives_as_it_was_filled(worker):
    batch = worker.make(2, filling(1)).open()
    assert batch.pop("filename") == ["1"]
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in batch.items()} == {
        name: (field.dtype, (2, *field.shape)) for name, field in FIELDS.items()
    }
    assert all((tensor == 1).all() for tensor in batch.values())
    for number, tensor in enumerate(batch.values()):  # none lies on another
        tensor.fill_(number % 2)
    assert all((tensor == number % 2).all() for number, tensor in enumerate(batch.values()))


def test_a_block_is_used_again_when_its_batch_is_gone_and_not_before(worker):
    sent = [worker.make(2, filling(value)) for value in (0, 1)]
    assert [parcel.number for parcel in sent] == [0, 1]  # on its way is in use
    first, second = (parcel.open() for parcel in sent)
    assert worker.make(2, filling(2)).number == 2
    row = first["image"][0, 1, 2]
    del first
    assert worker.make(2, filling(3)).number == 3  # what is left of the first batch lies in block 0
    assert (row == 0).all() and (second["image"] == 1).all()
    del row
    assert worker.make(2, filling(4)).number == 0
    assert (second["image"] == 1).all()


def test_a_block_travels_once(worker):
    parcels = []
    for value in range(3):
        parcels.append(worker.make(2, filling(value)))
        assert (parcels[-1].open()["semseg"] == value).all()
    assert [parcel.number for parcel in parcels] == [0, 0, 0]
    assert [parcel.block is None for parcel in parcels] == [False, True, True]


def test_a_batch_of_another_size_has_a_block_of_its_own(worker):
    worker.make(2, filling(0)).open()
    last = worker.make(1, filling(1)).open()
    assert last["image"].shape == (1, 3, 5, 7) and last["index"].tolist() == [1]
    assert worker.make(2, filling(2)).number == 0


def test_a_batch_that_could_not_be_filled_leaves_its_block_free(worker, loader):
    def fail(tensors):
        filling(9)(tensors)
        raise RuntimeError("no such file")

    with pytest.raises(RuntimeError, match="no such file"):
        worker.make(2, fail)
    sent = worker.make(2, filling(1))
    assert sent.number == 0 and (sent.open()["image"] == 1).all()


def test_workers_and_loaders_do_not_meet(worker, loader):
    """Blocks have the same numbers in every worker of every loader."""
    other_loader = LoaderBlocks(FIELDS)
    others = [
        WorkerBlocks(FIELDS, loader=loader.number, worker=1),
        WorkerBlocks(FIELDS, loader=other_loader.number, worker=0),
    ]
    batches = [blocks.make(2, filling(value)).open() for value, blocks in enumerate([worker, *others])]
    assert [batch["index"].tolist() for batch in batches] == [[0, 0], [1, 1], [2, 2]]


def test_batches_outlive_their_loader(worker, loader):
    block = worker.make(2, filling(1))
    batch, late = block.open(), worker.make(2, filling(2))
    del loader
    gc.collect()
    assert (batch["image"] == 1).all() and block.block[0] == IN_USE
    del batch
    assert block.block[0] == FREE
    assert late.number == 1


def test_a_forked_process_that_drops_a_batch_does_not_free_it(worker):
    sent = worker.make(2, filling(1))
    batch = sent.open()
    child = os.fork()
    if child == 0:
        del batch
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert sent.block[0] == IN_USE and (batch["image"] == 1).all()
    del batch
    assert sent.block[0] == FREE


def test_what_arrives_for_a_loader_that_is_gone_is_dropped():
    gone = LoaderBlocks(FIELDS).number
    gc.collect()
    assert WorkerBlocks(FIELDS, loader=gone, worker=0).make(2, filling(0)).open() == {"filename": ["0"]}


class Probe(DenseDataset):
    """Tells of the process that loads: how many threads it uses."""

    fields = {"opencv": Field(torch.int64, ()), "torch": Field(torch.int64, ()), "image": Field(torch.float32, (3, 64))}

    def __init__(self):
        pass

    def __len__(self):
        return 4

    def fill(self, keys, tensors):
        tensors["opencv"].fill_(cv2.getNumThreads())
        tensors["torch"].fill_(torch.get_num_threads())
        tensors["image"].copy_(torch.tensor([index for _, index in keys])[:, None, None])
        return {"keys": keys}


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_has_one_thread(workers):
    cv2.setNumThreads(2)
    batch = next(iter(train_loader(Probe(), batch_size=2, workers=workers, seed=0)))
    assert batch["opencv"].tolist() == [1, 1]
    assert batch["torch"].tolist() == ([1, 1] if workers else [torch.get_num_threads()] * 2)


def test_a_worker_goes_round_a_few_blocks():
    """Two batches on their way, one in use, and one about to be."""
    batches = iter(train_loader(Probe(), batch_size=2, workers=1, seed=0))
    kept = next(batches)
    copies = {name: kept[name].clone() for name in ("image", "opencv")}
    addresses = set()
    for _ in range(40):
        batch = next(batches)
        addresses.add(batch["image"].data_ptr())
        assert batch["image"][:, 0, 0].tolist() == [index for _, index in batch["keys"]]
    assert len(addresses) <= 4 and kept["image"].data_ptr() not in addresses
    assert all(torch.equal(kept[name], copy) for name, copy in copies.items())


def test_a_persistent_loader_can_be_started_again():
    loader = train_loader(Probe(), batch_size=2, workers=2, seed=0)
    expected = [keys for keys, _ in zip(loader.batch_sampler, range(6), strict=False)]
    for _ in range(2):
        got = [batch["keys"] for batch, _ in zip(loader, range(6), strict=False)]
        assert got == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what other C libraries do with freed memory differs")
def test_freed_memory_is_kept():
    child = os.fork()
    if child == 0:
        keep_freed_memory()
        faults = []
        for _ in range(4):
            np.ones(3 << 20, np.uint8), np.ones(20 << 20, np.uint8)
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        os._exit(0 if faults[-1] - faults[0] < 1000 else 1)  # 20 MiB are 5,120 pages
    assert os.waitpid(child, 0)[1] == 0
