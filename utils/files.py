"""Files that are written completely or not at all, whatever stops the process in between."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from utils.errors import UserError


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then move it into place.

    Without `durable` the flush is left to the system: many small files are written faster, and a power cut may lose
    the last of them.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # others may write the same file
    try:
        with open(temporary, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        advice = "check that its folder exists and may be written to, and that there is space left"
        raise UserError(f"{path}: cannot be written ({error.strerror}); {advice}") from error
    finally:
        with suppress(OSError):  # already moved into place, or never created
            temporary.unlink()


def save_tensors(path: Path, value: Any) -> None:
    """`torch.save`, atomically; raises what `write_atomically` does."""
    import torch  # here, so that commands without tensors do not wait for it

    def write(file: BinaryIO) -> None:
        try:
            torch.save(value, file)
        except RuntimeError as error:
            # PyTorch closes its archive even after a write has failed, and hides that error behind one of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise

    write_atomically(path, write)


def save_json(path: Path, value: Any) -> None:
    """Indented JSON, atomically; a NaN in `value` is an error of the program."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(path: Path, *, config_key: str) -> Path:
    """Create a folder; a `FileExistsError` if it exists, else a `UserError` that names the config key."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise
    except OSError as error:
        advice = f"choose a writable folder with LOG_DIR or {config_key}"
        raise UserError(f"{path}: cannot be created ({error.strerror}); {advice}") from error
    return path
