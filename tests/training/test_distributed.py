"""Two processes over gloo, and the one process that every collective leaves alone."""

import os
import select
import signal
import sys
import time
from unittest.mock import patch

import pytest
import torch
from torch import nn

import training.distributed
from tests.helpers.process_groups import run_group
from training.distributed import Processes, end_with_parent, join_processes
from utils.errors import UserError

BUCKETS = (1, 40, 1000)  # bytes: a gradient each, a few, all


def network_and_data() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.arange(12.0).view(4, 3).sin()


def averaged_gradients(processes: Processes, bucket_bytes: int) -> dict[str, list[torch.Tensor | None]]:
    network, data = network_and_data()
    nowhere, on_one, of_half = nn.Linear(2, 2), nn.Linear(2, 2), nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    network(data[2 * processes.rank : 2 * processes.rank + 2]).square().mean().backward()
    of_half.grad = torch.full((2,), 1.0 + processes.rank, dtype=torch.bfloat16)
    if processes.rank == 1:
        on_one.weight.grad = torch.ones(2, 2).t()
    learning = [frozen, *network.parameters(), *nowhere.parameters(), of_half, *on_one.parameters()]
    with patch.object(training.distributed, "BUCKET_BYTES", bucket_bytes):
        processes.average_gradients(learning)
    groups = {"network": network.parameters(), "nowhere": nowhere.parameters(), "on one": on_one.parameters()}
    groups |= {"half": [of_half], "frozen": [frozen]}
    return {name: [p.grad for p in parameters] for name, parameters in groups.items()}


def work(join) -> dict:
    join()
    processes = join_processes()
    buffer, total = torch.full((2,), processes.rank + 5.0), torch.tensor([1.0 + processes.rank])
    processes.broadcast_([buffer])
    processes.sum_([total])
    result = {
        "place": (processes.rank, processes.world_size, processes.is_main),
        "gradients": {size: averaged_gradients(processes, size) for size in BUCKETS},
        "buffer": buffer.tolist(),
        "total": total.tolist(),
        "max_flag": processes.max_flag(15 if processes.rank == 1 else 0),
        "gathered": processes.gather(f"from {processes.rank}"),
        "main": processes.from_main(f"from {processes.rank}"),
    }
    processes.barrier()
    processes.close()
    return result


@pytest.fixture(scope="module")
def results() -> list[dict]:
    return run_group(work)


def test_collectives_give_the_same_on_every_process(results):
    assert [result["place"] for result in results] == [(0, 2, True), (1, 2, False)]
    for result in results:
        assert result["buffer"] == [5, 5]
        assert result["total"] == [3]
        assert result["max_flag"] == 15
        assert result["gathered"] == ["from 0", "from 1"]
        assert result["main"] == "from 0"


@pytest.mark.parametrize("bucket_bytes", BUCKETS)
def test_gradients_are_means_however_they_travel(results, bucket_bytes):
    network, data = network_and_data()
    network(data).square().mean().backward()
    for result in results:
        gradients = result["gradients"][bucket_bytes]
        for gradient, parameter in zip(gradients["network"], network.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, atol=1e-6, rtol=1e-6)
        assert gradients["half"][0].tolist() == [1.5, 1.5] and gradients["half"][0].dtype == torch.bfloat16
        assert torch.equal(gradients["on one"][0], torch.full((2, 2), 0.5)) and gradients["on one"][1] is None
        assert gradients["nowhere"] == [None, None] and gradients["frozen"] == [None]
        assert all(
            torch.equal(a, b)
            for a, b in zip(gradients["network"], result["gradients"][BUCKETS[0]]["network"], strict=True)
        )


def test_a_single_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = join_processes()
    assert processes == Processes(0, 1) and processes.is_main
    assert processes.gather("a") == ["a"] and processes.max_flag(3) == 3
    processes.barrier()
    processes.close()


def test_a_group_that_cannot_be_found_is_the_users_error(monkeypatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="WORLD_SIZE=2: cannot join .* RANK expected.* start all of them with torchrun"):
        join_processes()


@pytest.mark.skipif(sys.platform != "linux", reason="a service of Linux")
def test_a_process_ends_when_its_parent_was_killed():
    """The parent is a fork of this process that kills itself; the end of the child closes the pipe."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            end_with_parent()
            os.write(write, b"ready")
            time.sleep(60)
            os._exit(0)
        os.read(read, 5)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    os.waitpid(parent, 0)
    assert select.select([read], [], [], 10)[0] and os.read(read, 5) == b""
    os.close(read)


# --- the GPU of a process ---


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, and torchrun's word on a process; gives the device that it chooses."""
    from training.device import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)

    def choose(local_rank: int, local_world_size: int, name: str | None) -> torch.device:
        with patch.dict(os.environ, {"LOCAL_RANK": str(local_rank), "LOCAL_WORLD_SIZE": str(local_world_size)}):
            return choose_device(name)

    return choose


def test_every_process_has_a_gpu_of_its_own(gpus):
    assert [gpus(rank, 2, None) for rank in (0, 1)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert gpus(1, 2, "cuda") == torch.device("cuda", 1)
    assert gpus(0, 1, "cuda:1") == torch.device("cuda", 1)
    assert gpus(2, 3, "cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", [None, "cuda"])
def test_a_process_beyond_the_gpus_is_refused(gpus, name):
    assert gpus(1, 3, name) == torch.device("cuda", 1)
    with pytest.raises(UserError, match=r"LOCAL_RANK=2: a process too many for the 2 GPU\(s\).*no more than 2 "):
        gpus(2, 3, name)


def test_one_gpu_for_several_processes_is_refused(gpus):
    with pytest.raises(UserError, match="--device cuda:0: one GPU for 2 processes; --device cuda gives each"):
        gpus(0, 2, "cuda:0")
