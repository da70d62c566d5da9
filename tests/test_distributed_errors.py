"""What ends a run of two processes ends both, says why once, and never waits for who is gone."""

import contextlib
import io
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

import training.loop
from tests.helpers.process_groups import CERTAIN, TASKS, Job, narrow, run_group, run_jobs
from tests.helpers.runs import arguments, only_run_folder, run_folders, run_here
from training.state import load_state
from training.supervised import Supervised

SMALL = narrow(*TASKS) | {"optim": "{name: SGD}"}
# Images in their order, one a process: the main one has 0, 2 and 4, the other 1, 3 and 5.
ONE_BY_ONE = CERTAIN | {"training__shuffle_trainset": False, "data__train_bs": 1, "training__iterations": 3}
FAILURES = {  # by name: command line, exit statuses, the message
    "a key that is none": (arguments(**SMALL, training__iteratoins=3), (2, 2), "did you mean"),
    "no dataset": (arguments(**SMALL, data__path="/nowhere"), (2, 2), "data.path: "),
    "synchronised batch norm": (arguments(**SMALL, training__sync_bn=True), (2, 2), "needs GPUs"),
    "nothing to resume": (arguments("--resume", **SMALL), (2, 1), "no resume.pkl in any run folder"),
    "no folder to write to": (arguments(**SMALL, training__logdir="/dev/null"), (2, 1), "cannot be created"),
    "prediction": (arguments("--predict", "x.png", "--weights", "w", "--output", "o"), (2, 2), "in a single process"),
    "damaged image": (arguments(**ONE_BY_ONE), (1, 2), "truncated or corrupt"),
    "divergence": (arguments(**SMALL, setup__lr__default=1e30, training__iterations=3), (1, 1), "no longer finite"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("errors")


@pytest.fixture(scope="module")
def damaged(demo_nyudv2, root) -> Path:
    """The dataset with an image that only the other process reads, in the second step."""
    copy = shutil.copytree(demo_nyudv2, root / "damaged")
    name = (copy / "gt_sets" / "train.txt").read_text().split()[3]
    (copy / "images" / f"{name}.png").write_bytes(b"no image")
    return copy


@pytest.fixture(scope="module")
def failed(demo_nyudv2, damaged, root):
    datasets = {name: str(damaged if name == "damaged image" else demo_nyudv2) for name in FAILURES}
    jobs = [
        Job(words, {"NYUDV2_DIR": datasets[name], "LOG_DIR": str(root / name)})
        for name, (words, _, _) in FAILURES.items()
    ]
    return dict(zip(FAILURES, run_jobs(jobs), strict=True))


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_of_one_or_all_ends_both_with_one_message(failed, root, name):
    _, statuses, message = FAILURES[name]
    main, other = failed[name]
    assert (main.status, other.status) == statuses
    errors = main.error + other.error
    assert errors.count("error: ") + errors.count("failed: ") == 1, errors
    assert message in errors and "Traceback" not in errors
    assert other.out == ""
    if name == "damaged image":
        assert len(other.names) == 1 and "step 1/" in main.out and "step 2/" not in main.out
        assert str(root / "damaged") in errors
    elif name != "divergence":
        assert not list(root.glob(f"{name}/**/cfg.yml"))  # nothing written, or taken away again


# --- one process alone is hit: by an exception, by a signal ---


def train_hit(join: Callable[[], None], hits: dict[str, Callable[..., None]], words: list[str], environment: dict):
    """Train once for each of `hits`, called with (rank, step) where its name says; gives exit status and stderr."""
    results = {}
    for name, hit in hits.items():
        join()
        rank, error = int(os.environ["RANK"]), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(error):
            for variable, value in environment.items():
                patch.setenv(variable, value)
            patch.setenv("LOG_DIR", f"{environment['LOG_DIR']}/{name}")
            _call_first(patch, name, lambda step, hit=hit, rank=rank: hit(rank, step))
            try:
                results[name] = run_here(patch, *words), error.getvalue()
            except ZeroDivisionError:
                dist.destroy_process_group()  # as the end of the process does
                results[name] = None, error.getvalue()
    return results


def _call_first(patch: pytest.MonkeyPatch, name: str, call: Callable[[int], None]) -> None:
    """Have `call(step)` before a step's gradients or, where there is one a step, in a checkpoint."""
    steps = itertools.count(1)

    def before(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **options: call(next(steps)) or original(*arguments, **options)

    if name.startswith("checkpoint"):
        patch.setattr(training.loop, "random_states", before(training.loop.random_states))
    else:
        patch.setattr(Supervised, "backward", before(Supervised.backward))


def signal_other(rank: int, step: int) -> None:
    if (rank, step) == (1, 2):
        os.kill(os.getpid(), signal.SIGTERM)


def crash_other(rank: int, step: int) -> None:
    """The other process crashes, and the main one is told to stop, as `torchrun` does, before it knows."""
    if step == 2:
        if rank == 1:
            raise ZeroDivisionError
        os.kill(os.getpid(), signal.SIGTERM)


HITS = {"step, signal": signal_other, "checkpoint, signal": signal_other, "step, crash": crash_other}


@pytest.fixture(scope="module")
def hit(demo_nyudv2, root):
    """By name the exit status and stderr of both processes."""
    words = arguments(**SMALL, training__iterations=50, training__checkpoint_interval=1)
    environment = {"NYUDV2_DIR": str(demo_nyudv2), "LOG_DIR": str(root / "hit")}
    by_rank = run_group(train_hit, HITS, words, environment, groups=len(HITS))
    return {name: [results[name] for results in by_rank] for name in HITS}


@pytest.mark.parametrize(("name", "last"), [("step, signal", 2), ("checkpoint, signal", 3)])
def test_a_signal_to_one_process_stops_both_after_the_same_step(hit, root, name, last):
    """Also one that arrives when this step's decision, to go on, has been made."""
    (main, error), (other, error_of_other) = hit[name]
    assert (main, other) == (143, 143)
    assert error + error_of_other == f"stopped after step {last}; --resume continues this run\n"
    assert load_state(only_run_folder(root / "hit" / name) / "resume.pkl")[0].step == last


def test_a_crash_of_one_process_ends_the_other_though_it_was_told_to_save(hit, root):
    (main, error), (other, _) = hit["step, crash"]
    assert (main, other) == (1, None)
    assert error.startswith("failed: another process has ended or does not answer (") and error.count("\n") == 1
    (folder,) = run_folders(root / "hit" / "step, crash")
    assert load_state(folder / "resume.pkl")[0].step == 1
