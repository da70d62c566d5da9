"""`torchrun`: a run of two real processes is stopped, resumed, and ended by the death of one of them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.helpers.process_groups import narrow
from tests.helpers.runs import ROOT, THREADS, arguments, only_run_folder
from training.state import load_state

SMALL = narrow("semseg", "depth", "normals", "edges")
SMALL |= {"optim": "{name: SGD}", "training__iterations": 1000, "training__n_workers": 1}
SECONDS = 50  # after which everything is killed


def processes_of(logs: Path) -> dict[int, tuple[int, str]]:
    """Parent and rank of every process that has this LOG_DIR, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_text().split("\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended, or is somebody else's
            continue
        if f"LOG_DIR={logs}" in environment:
            rank = next((word for word in environment if word.startswith("RANK=")), "RANK=")
            found[int(folder.name)] = parent, rank.removeprefix("RANK=")
    return found


def signal_all(logs: Path, number: int) -> None:
    for pid in processes_of(logs):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)


@contextmanager
def torchrun(logs: Path, dataset: Path, *words: str) -> Iterator[subprocess.Popen]:
    """`main.py` on two processes, its output to be read; killed with all its processes when late."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "main.py"]
    variables = {"LOG_DIR": str(logs), "NYUDV2_DIR": str(dataset), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*launcher, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    late = threading.Timer(SECONDS, signal_all, (logs, signal.SIGKILL))
    late.start()
    try:
        yield process
    finally:
        late.cancel()
        signal_all(logs, signal.SIGKILL)
        process.wait()


def read_until(process: subprocess.Popen, beginning: str) -> list[str]:
    """The lines up to one that begins so."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"no line {beginning!r} in:\n" + "".join(lines))


def test_stopped_by_sigterm_resumed_and_ended_by_the_death_of_one(tmp_path, demo_nyudv2):
    # SIGTERM to torchrun and, as a scheduler does that signals a whole job, to its processes as well
    with torchrun(tmp_path, demo_nyudv2, *arguments(**SMALL)) as process:
        lines = read_until(process, "step 2/")
        signal_all(tmp_path, signal.SIGTERM)
        lines += list(process.stdout)
        assert process.wait() != 0
        left = processes_of(tmp_path)
    last = load_state(only_run_folder(tmp_path) / "resume.pkl")[0].step
    assert "".join(lines).count(f"stopped after step {last}; --resume continues this run\n") == 1
    steps = [line.split()[1] for line in lines if line.startswith("step ")]
    assert steps == [f"{step}/1000" for step in range(1, last + 1)]  # the main process alone
    assert "forcefully" not in "".join(lines) and "Traceback" not in "".join(lines).partition("stopped after")[0]
    assert left == {}

    # --resume, and SIGKILL to one of the two
    with torchrun(tmp_path, demo_nyudv2, *arguments("--resume", **SMALL)) as process:
        lines = read_until(process, "step ")
        assert lines[-1].startswith(f"step {last + 1}/1000 ")
        (victim,) = (pid for pid, place in processes_of(tmp_path).items() if place == (process.pid, "1"))
        os.kill(victim, signal.SIGKILL)
        lines += list(process.stdout)
        assert process.wait() != 0
    output = "".join(lines)
    assert f"Signal 9 (SIGKILL) received by PID {victim}" in output
    assert output.count("failed: another process has ended or does not answer (") == 1
    assert "forcefully" not in output  # torchrun need not kill the other
