"""What all commands share: how mistakes and signals end them, and which of several processes reports it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

from utils.errors import CommandError

TIME_TO_REPORT = 5.0  # seconds that processes started together by `torchrun` may be apart


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def run_command(command: Callable[[], int | None], *, say: Callable[[str], None] = _say) -> int:
    """Run a command; returns its exit status: 0 done, 2 the user's mistake, 1 a failure, 128 + n stopped by signal n.

    `command` may return a status itself; `say` takes the message of an error that ends it.
    """
    try:
        return command() or 0
    except CommandError as error:
        say(f"{error.label}{error}")
        return error.status
    except KeyboardInterrupt:
        return 130


@contextmanager
def one_reports() -> Iterator[None]:
    """Let one process per machine report for all while they read the command line and the experiment.

    PyTorch is not yet imported, so they cannot communicate; but all of them find the same mistakes.
    """
    if os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")) == "0":
        yield
        return
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    except (CommandError, SystemExit) as end:
        status = end.status if isinstance(end, CommandError) else end.code
        if status and "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun, which ends all as soon as one has failed
            time.sleep(TIME_TO_REPORT)
        raise SystemExit(status) from None
