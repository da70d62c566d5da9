"""Weights & Biases: figures, pictures and configuration of a run. The only module that imports wandb.

Without network or login the run is recorded offline (`wandb sync` sends it later) after one warning.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import wandb

from utils.console import LOGGER

CONNECT_SECONDS = 30


class WandbLogger:
    """Sends scalars and panels to a W&B run: the one of `run_id`, or a new one; wandb's files go below `folder`."""

    def __init__(self, *, project: str, name: str, folder: Path, config: dict[str, Any], run_id: str | None) -> None:
        def start(mode: Any) -> Any:
            return wandb.init(
                project=project,
                name=name,
                dir=str(folder),
                config=config,
                id=run_id,
                resume="allow" if run_id else None,
                mode=mode,
                settings=wandb.Settings(init_timeout=CONNECT_SECONDS, silent=True, console="off"),
            )

        mode = os.environ.get("WANDB_MODE")
        try:
            if mode is None and not wandb.login(prompt=False):
                raise wandb.errors.UsageError("nobody is logged in (run `wandb login`)")
            self._run = start(mode)
        except (wandb.errors.UsageError, wandb.errors.CommError) as error:
            LOGGER.warning(
                "W&B: %s; the run is recorded offline under %s (-w turns W&B off)", str(error).splitlines()[0], folder
            )
            self._run = start("offline")

    @property
    def run_id(self) -> str:
        """The id under which `--resume` continues this run."""
        return self._run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def log_panels(self, step: int, panels: Mapping[str, np.ndarray]) -> None:
        self._run.log({name: wandb.Image(picture) for name, picture in panels.items()}, step=step)

    def close(self) -> None:
        self._run.finish()
