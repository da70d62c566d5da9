import itertools
import os
import pickle
import subprocess
import sys
from collections import Counter

import pytest
import torch

from dataset.build import DatasetUse, build_dataset
from dataset.loader import TrainSampler, eval_loader, train_loader
from tests.helpers.dataset_files import config, write_cityscapes
from utils.errors import UserError

NAMES = tuple(f"train/aachen/aachen_{i:06d}_000019" for i in range(5))
AUGMENT = {
    "crop_w": 24,
    "crop_h": 16,
    "augmentations": {"random_horizontal_flip": 0.5, "color_aug": True},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    write_cityscapes(root, names=NAMES, size=(32, 16))
    return root


def build(root, **options):
    cfg = config("cityscapes", root, 19, (32, 16), **(options or AUGMENT))
    return build_dataset(DatasetUse(cfg=cfg, split="train", tasks=("semseg", "depth"), training=True), seed=3)


def take(iterable, count):
    return list(itertools.islice(iterable, count))


def sampler(**options):
    return TrainSampler(**{"length": 7, "batch_size": 3, "seed": 1, **options})


def test_every_epoch_is_a_permutation_of_its_own():
    stream = list(itertools.chain.from_iterable(take(sampler(), 14)))[: 7 * 6]
    epochs = [stream[start : start + 7] for start in range(0, 42, 7)]
    for epoch, keys in enumerate(epochs):
        assert [key[0] for key in keys] == [epoch] * 7
        assert sorted(key[1] for key in keys) == list(range(7))
    assert len({tuple(index for _, index in keys) for keys in epochs}) == 6


def test_the_stream_is_a_function_of_its_seed():
    assert take(sampler(), 10) == take(sampler(), 10)
    assert take(sampler(), 10) != take(sampler(seed=2), 10)
    assert take(sampler(seed=-1), 2) == take(sampler(seed=-1), 2)
    ordered = take(sampler(shuffle=False), 5)
    assert [index for batch in ordered for _, index in batch] == [i % 7 for i in range(15)]


@pytest.mark.parametrize("start", [1, 2, 3, 20])
def test_a_stream_started_later_is_the_rest_of_the_whole_one(start):
    assert take(sampler(start_batch=start), 9) == take(sampler(), start + 9)[start:]


def test_processes_share_the_stream():
    whole = list(itertools.chain.from_iterable(take(sampler(batch_size=6), 7)))
    parts = [take(sampler(batch_size=2, rank=rank, world_size=3), 7) for rank in range(3)]
    assert whole == [key for batches in zip(*parts, strict=True) for batch in batches for key in batch]
    resumed = take(sampler(batch_size=2, rank=1, world_size=3, start_batch=4), 3)
    assert resumed == parts[1][4:]


def test_a_batch_may_be_larger_than_the_dataset():
    [keys] = take(sampler(length=2, batch_size=5), 1)
    assert [epoch for epoch, _ in keys] == [0, 0, 1, 1, 2]


def same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        equal = torch.equal(a[key], b[key]) if torch.is_tensor(a[key]) else a[key] == b[key]
        assert equal, key
    return True


def loader(dataset, workers, **options):
    return train_loader(dataset, **{"batch_size": 2, "workers": workers, "seed": 5, **options})


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_with_the_very_same_batches(root, workers):
    dataset = build(root)
    whole = take(loader(dataset, 0), 9)
    assert all(map(same, take(loader(dataset, workers), 9), whole))
    assert all(map(same, take(loader(dataset, workers, start_batch=4), 5), whole[4:]))
    # the same image comes back cut and coloured differently
    index = whole[0]["index"][0]
    again = next(b for b in whole[3:] if index in b["index"])
    assert not torch.equal(whole[0]["image"][0], again["image"][(again["index"] == index).nonzero()[0, 0]])


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_leave_the_global_generator_alone(root, workers):
    dataset = build(root)
    before = torch.get_rng_state()
    take(loader(dataset, workers), 2)
    list(eval_loader(dataset, batch_size=2, workers=workers))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_evaluation_sees_every_image_once(root, workers, world_size):
    if workers and world_size == 7:
        workers = 1
    dataset = build(root)
    seen = Counter()
    for rank in range(world_size):
        evaluation = eval_loader(dataset, batch_size=2, workers=workers, rank=rank, world_size=world_size)
        batches = list(evaluation)
        assert len(batches) == len(evaluation)
        assert all(len(batch["index"]) == 2 for batch in batches[:-1])
        seen.update(int(index) for batch in batches for index in batch["index"])
    assert seen == {index: 1 for index in range(5)}


def test_evaluation_can_be_limited_and_repeated(root):
    evaluation = eval_loader(build(root), batch_size=2, workers=0, limit=3)
    for _ in range(2):
        assert [batch["index"].tolist() for batch in evaluation] == [[0, 1], [2]]
    assert len(list(eval_loader(build(root), batch_size=2, workers=0, limit=99))) == 3
    second = eval_loader(build(root), batch_size=2, workers=0, limit=3, rank=1, world_size=2)
    assert [batch["index"].tolist() for batch in second] == [[2]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [loader, lambda dataset, workers: eval_loader(dataset, batch_size=2, workers=workers)])
def test_a_users_mistake_in_a_worker_arrives_with_its_own_message(tmp_path, workers, make):
    write_cityscapes(tmp_path, names=NAMES, size=(32, 16))
    dataset = build(tmp_path)
    file = tmp_path / "gtFine" / f"{NAMES[3]}_gtFine_labelIds.png"
    file.unlink()
    with pytest.raises(UserError) as direct:
        dataset[3]
    with pytest.raises(UserError) as carried:
        take(make(dataset, workers), 10)
    assert str(carried.value) == str(direct.value) and str(file) in str(direct.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_our_own_mistakes_keep_their_type_and_traceback(root, workers, monkeypatch):
    dataset = build(root)
    samples = dataset.source.load
    monkeypatch.setattr(dataset.source, "load", lambda index: samples(index) if index == 0 else 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        take(loader(dataset, workers), 3)
    assert ("in load" in str(caught.value)) == bool(workers)


def test_workers_outlive_signals_meant_for_the_main_process(root):
    iterator = iter(loader(build(root), 2))
    expected = take(loader(build(root), 0), 12)
    assert same(next(iterator), expected[0])
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    workers = [int(pid) for pid in children.split() if "python" in _command(int(pid))]
    assert len(workers) >= 2
    for name in ("-INT", "-TERM"):  # from a third process: the parent's SIGTERM ends a worker
        subprocess.run(["kill", name, *map(str, workers)], check=True)
    for number in range(1, 12):
        assert same(next(iterator), expected[number])


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def test_datasets_travel_to_spawned_workers(root):
    dataset = build(root)
    assert same(pickle.loads(pickle.dumps(dataset))[1, 2], dataset[1, 2])


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_an_abandoned_loader_lets_the_process_end(root, error):
    """A process that stops in the middle of training, or fails by a mistake of ours, ends at once, with its workers."""
    code = f"""
import sys
sys.path[:0] = {[str(p) for p in sys.path]!r}
from tests.dataset.test_loader import build, loader
samples = build({str(root)!r})
read = samples.source.load
samples.source.load = lambda index: {"read(index)" if error is None else "read(index) if index == 0 else 1 / 0"}
batches = iter(loader(samples, 2))
next(batches)
print("left", flush=True)
sys.exit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if error is None:
        assert done.returncode == 3 and done.stdout == "left\n" and done.stderr == ""
    else:
        assert done.returncode == 1 and error.__name__ in done.stderr
