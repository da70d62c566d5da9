"""`run.json` in a run folder: what ran, where and when.

`{"sessions": [...]}`, one entry for every start of the run: the first and each `--resume`.

    commit      of the checkout, null where there is none; `dirty`: whether tracked files differ from it
    command     the command line, one list of words
    versions    of python, torch, torchvision, numpy and cuda (null without)
    machine     host, platform, cpus
    gpu         its name, null on the CPU
    processes   how many trained or evaluated together
    weights     the file the run started from or evaluates, null without
    start, end  ISO 8601 with the time zone; `end` is null while it runs and where it was killed
    outcome     "done", or the exception that ended it, such as "Stopped" (by a signal, state saved); null as `end`
"""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from utils.errors import UserError
from utils.files import save_json
from utils.version import git


def open_session(*, device: torch.device, processes: int, weights: Path | None) -> dict[str, Any]:
    """The entry of a session that starts now."""
    commit = git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(git("status", "--porcelain", "--untracked-files=no")),
        "command": sys.argv,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
            "cuda": torch.version.cuda,
        },
        "machine": {"host": platform.node(), "platform": platform.platform(), "cpus": os.cpu_count()},
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "processes": processes,
        "weights": None if weights is None else str(weights),
        "start": _now(),
        "end": None,
        "outcome": None,
    }


@contextmanager
def recorded(path: Path, session: dict[str, Any]) -> Iterator[None]:
    """Write the session to `path` as running, and again when the context ends, with its outcome.

    Raises:
        UserError: The file cannot be written, or holds something else.
    """
    try:
        earlier = json.loads(path.read_text())["sessions"] if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as the record of a run's sessions; remove or rename it") from error
    record = {"sessions": [*earlier, session]}
    save_json(path, record)
    try:
        yield
    except BaseException as error:
        session |= {"end": _now(), "outcome": type(error).__name__}
        with suppress(UserError):  # must not hide the error that ended the run
            save_json(path, record)
        raise
    session |= {"end": _now(), "outcome": "done"}
    save_json(path, record)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
