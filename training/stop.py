"""Stopping on request: Ctrl-C and SIGTERM end the step in progress, not the process in the middle of it."""

import signal
from types import FrameType, TracebackType


class StopRequest:
    """While entered, SIGINT and SIGTERM are remembered; a second one ends the process immediately.

    A `patient` one ignores it: `torchrun` forwards the signals it gets, so that they arrive twice where a scheduler
    signals a whole job.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.signal = 0  # number of the signal received, 0 for none
        self.patient = patient

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._remember) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal and not self.patient:
            raise SystemExit(128 + number)
        self.signal = self.signal or number
