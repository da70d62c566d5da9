"""Two processes over gloo, and the one process that every collective leaves alone."""

import os
import socket

import torch
import torch.multiprocessing as mp
from torch import nn

from training.distributed import Processes, join_processes


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def work(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    processes = join_processes(torch.device("cpu"))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    unused = nn.Linear(2, 2)
    data = torch.arange(12.0).view(4, 3).sin()
    network(data[2 * rank : 2 * rank + 2]).square().mean().backward()
    if rank == 1:
        unused.weight.grad = torch.ones(2, 2)
    processes.average_gradients([*network.parameters(), *unused.parameters()])
    buffer = torch.full((2,), float(rank + 5))
    processes.broadcast_([buffer])
    total = torch.tensor([1.0 + rank])
    processes.sum_([total])
    result = {
        "gradients": [p.grad for p in network.parameters()],
        "unused": unused.weight.grad,
        "buffer": buffer,
        "total": total,
        "any": processes.any(15 if rank == 1 else 0),
        "gathered": processes.gather(f"from {rank}"),
        "main": processes.from_main(f"from {rank}"),
    }
    torch.save(result, f"{folder}/{rank}.pt")
    processes.close()


def test_two_processes_agree_with_one_of_the_doubled_batch(tmp_path):
    mp.spawn(work, args=(free_port(), str(tmp_path)), nprocs=2)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    network(torch.arange(12.0).view(4, 3).sin()).square().mean().backward()
    for rank in (0, 1):
        result = torch.load(tmp_path / f"{rank}.pt")
        for gradient, parameter in zip(result["gradients"], network.parameters(), strict=True):
            assert torch.allclose(gradient, parameter.grad, atol=1e-6)
        assert torch.equal(result["unused"], torch.full((2, 2), 0.5))  # one process had no gradient for it
        assert result["buffer"].tolist() == [5, 5]
        assert result["total"].tolist() == [3]
        assert result["any"] == 15
        assert result["gathered"] == ["from 0", "from 1"]
        assert result["main"] == "from 0"


def test_a_single_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = join_processes(torch.device("cpu"))
    assert processes == Processes(0, 0, 1) and processes.is_main
    assert processes.gather("a") == ["a"] and processes.any(3) == 3
    processes.barrier()
    processes.close()
