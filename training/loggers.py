"""Where a run's figures go: always `log.jsonl`, and W&B unless it is off."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np


class Logger(Protocol):
    """Takes the figures of a run."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars of a step."""

    def log_panels(self, step: int, panels: Mapping[str, np.ndarray]) -> None:
        """Record named pictures, uint8 [H, W, 3], of a step."""

    def close(self) -> None:
        """Flush what is pending."""


class JsonLinesLogger:
    """One JSON object per logged step, appended to a file that survives a crash up to its last line.

    Lines after `start_step`, the checkpoint from which a run resumes, are dropped: the run will write them again.
    """

    def __init__(self, path: Path, *, start_step: int) -> None:
        kept = []
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:  # the line being written when the run was killed
                    continue
                if entry["step"] <= start_step:
                    kept.append(line)
        path.write_text("".join(line + "\n" for line in kept))
        self._file = open(path, "a", buffering=1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")

    def log_panels(self, step: int, panels: Mapping[str, np.ndarray]) -> None:
        """Pictures do not fit in lines of JSON; the loop writes them to the panels folder."""

    def close(self) -> None:
        self._file.close()
