"""Processes that train together, for tests: forked from a server that has everything imported, killed when late.

Each group finds itself as under `torchrun`: through a store that outlives its processes, here the test's own.
"""

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist

from tests.helpers.runs import names_of, record_steps, run_here

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["main", "process_groups"])
SIZE = 2


@dataclass(frozen=True)
class Job:
    """A run of `main.py` on every process of a group."""

    words: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a job was on one process: exit status, output, and the names of the images of each step, by stream."""

    status: int
    out: str
    error: str
    names: list[dict[str, list[str]]]


def narrow(*tasks: str) -> dict[str, str]:
    """Overrides, as of `runs.arguments`, that make the decoders so narrow that two processes share a CPU well."""
    return {f"setup__model__tasks__{task}__kwargs__num_ch_dec": "[8, 8, 8, 16, 16]" for task in tasks}


TASKS = ("semseg", "depth", "normals", "edges")
# Two steps without dropout, of which each process has its own; little is written.
CERTAIN = narrow(*TASKS) | {f"setup__model__tasks__{task}__kwargs__intermediate_aspp": False for task in TASKS}
CERTAIN |= {"training__save_model": False, "training__save_finished_model": False}
CERTAIN |= {"optim": "{name: SGD}", "training__iterations": 2}


def run_group(function: Callable[..., Any], *arguments: Any, groups: int = 1, timeout: float = 100) -> list[Any]:
    """Call `function(join, *arguments)` on every process; gives what each returned, by rank.

    Args:
        function: Importable; its `join()` prepares the environment for the process to join the next group.
        arguments: To pickle.
        groups: How many groups the processes join one after the other.
        timeout: Seconds after which the processes are killed and the test fails.
    """
    stores = [dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False) for _ in range(groups)]
    ports = [store.port for store in stores]
    with tempfile.TemporaryDirectory() as folder:
        work = [(rank, ports, Path(folder) / f"{rank}.pt", function, arguments) for rank in range(SIZE)]
        processes = [SERVER.Process(target=_work, args=of_one) for of_one in work]
        try:
            for process in processes:
                process.start()
            _wait(processes, timeout)
            assert [process.exitcode for process in processes] == [0] * SIZE
        finally:
            for process in processes:
                process.kill()
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(SIZE)]


def run_jobs(jobs: Sequence[Job], timeout: float = 100) -> list[list[Outcome]]:
    """Run every job on a group of its own, one after the other; gives the outcomes by job, then by rank."""
    by_rank = run_group(_run_mains, list(jobs), groups=len(jobs), timeout=timeout)
    return [list(outcomes) for outcomes in zip(*by_rank, strict=True)]


def _wait(processes: Sequence[BaseProcess], timeout: float) -> None:
    """Wait for the end of all, the failure of one, or the timeout."""
    deadline = time.monotonic() + timeout
    running = {process.sentinel: process for process in processes}
    while running and (left := deadline - time.monotonic()) > 0:
        for sentinel in connection.wait(list(running), left):
            if running.pop(sentinel).exitcode != 0:
                return


def _work(rank: int, ports: list[int], result: Path, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """A process of the group."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(SIZE), "LOCAL_WORLD_SIZE": str(SIZE)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torch.set_num_threads(1)
    remaining = iter(ports)

    def join() -> None:
        if dist.is_initialized():  # a run that failed leaves by the end of its process
            dist.destroy_process_group()
        os.environ["MASTER_PORT"] = str(next(remaining))

    torch.save(function(join, *arguments), result)


def _run_mains(join: Callable[[], None], jobs: Sequence[Job]) -> list[Outcome]:
    outcomes = []
    for job in jobs:
        join()
        out, error = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, job.environment),
            pytest.MonkeyPatch.context() as monkeypatch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            steps = record_steps(monkeypatch)
            status = run_here(monkeypatch, *job.words)
        outcomes.append(Outcome(status, out.getvalue(), error.getvalue(), names_of(steps)))
    return outcomes
