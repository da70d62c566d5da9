"""Weight files: reading them without running code, and loading them strictly, with errors that name every mismatch."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from utils.errors import UserError

# Names listed per kind of mismatch; the rest is counted.
MAX_LISTED = 4


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a file that `torch.save` wrote from a state dict; tensors come to the CPU, no code in the file is run.

    Raises:
        UserError: the file is damaged, or holds anything but named tensors.
    """
    state = load_without_code(file)
    if not isinstance(state, Mapping) or not state:
        kind = "empty" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise UserError(f"{file} is no dict of named tensors but {kind}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{file} is no dict of named tensors: its entry {name!r} is a {type(value).__name__}. Of a training "
                "run's files, weights are in best_model.pkl and model_<step>.pkl, not in resume.pkl"
            )
    return dict(state)


def load_without_code(file: Path) -> object:
    """What `torch.save` wrote to a file, as long as it is tensors and plain Python values.

    Raises:
        UserError: the file is damaged or holds other objects.
    """
    try:
        # Memory-mapped where the format allows: only what is used is read.
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # a damaged pickle may raise anything
        if "GLOBAL" in str(error):
            raise UserError(
                f"{file} holds Python objects beside tensors, which may run code when loaded: refused. "
                "Save the state_dict alone, torch.save(model.state_dict(), FILE)"
            ) from error
        raise UserError(
            f"{file} cannot be read as weights: damaged, cut short or not written by torch.save "
            f"({file.stat().st_size} bytes). Fetch or copy it again"
        ) from error


def mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Compare names and shapes; one line per kind of mismatch (missing, unexpected, shape), none when all agree."""
    kinds = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} ({tuple(given[name].shape)} in the weights, {tuple(value.shape)} in the model)"
            for name, value in expected.items()
            if name in given and given[name].shape != value.shape
        ],
    }
    lines = []
    for kind, names in kinds.items():
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        lines += [f"{len(names)} {kind}: {', '.join(names[:MAX_LISTED])}{more}"] if names else []
    return lines


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy weights into a module that has exactly these names and shapes; `source` names them in the error.

    Raises:
        UserError: lists missing, unexpected and misshapen names; the module is left as it was.
    """
    problems = mismatches(module.state_dict(), state)
    if problems:
        raise UserError("\n  ".join([f"{source} does not fit the model:", *problems]))
    module.load_state_dict(state, strict=True)
