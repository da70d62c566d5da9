"""The state of a run: everything that changes during training, saved and loaded as a whole.

The strategy brings networks, optimizers, schedulers and the gradient scaler; this module adds the progress and the
generators' states. A state holds only tensors and plain Python types, so that loading (`weights_only=True`) never runs
code.
"""

import pickle
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from utils.errors import UserError
from utils.files import save_tensors

FORMAT = 2
# Progress, the strategy's state, the generators' states of every process
State = tuple["Progress", dict[str, Any], list[dict[str, Any]]]


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0  # optimizer steps done
    best: float | None = None  # validation score, None before the first
    validated: int = 0  # the last step whose weights were validated
    batches: dict[str, int] = field(default_factory=dict)  # taken from each data stream, by every process alike
    wandb_id: str | None = None  # the W&B run to continue
    world_size: int = 1  # processes that trained


def save_state(path: Path, *, progress: Progress, strategy: dict[str, Any], random: list[dict[str, Any]]) -> None:
    """Write the whole state atomically; `random` holds the generators' states of every process."""
    save_tensors(path, {"format": FORMAT, "progress": asdict(progress), "strategy": strategy, "random": random})


def load_state(path: Path) -> State:
    """Read what `save_state` wrote, onto the CPU.

    Raises:
        UserError: The file is truncated or is no run state.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            found = state["format"]
            raise UserError(f"{path}: run state of format {found}, not {FORMAT}; start again without --resume")
        return Progress(**state["progress"]), state["strategy"], state["random"]
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path}: cannot be read as the state of a run ({type(error).__name__}: {reason}); the file is damaged: "
            "start again without --resume, or from an earlier run folder"
        ) from error
