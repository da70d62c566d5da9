"""Generates demo datasets into a folder: all or nothing for each, and never over somebody else's files."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from dataset.demo.formats import FORMATS
from dataset.demo.world import World
from utils.console import progress_bar
from utils.errors import UserError
from utils.files import save_json

# In OUT, beside the dataset folders: which of them are ours and what they hold.
MANIFEST = "demo_world.json"


def generate(out: str | Path, layouts: Sequence[str], world: World, *, workers: int = 1) -> dict[str, Path]:
    """Writes `out/<layout>/` for every layout, each a dataset root, replacing an earlier demo world there.

    Args:
        layouts: names from `FORMATS`.
        workers: processes; the files do not depend on it.

    Returns:
        The root of each dataset.

    Raises:
        UserError: a folder holds something else or cannot be written.
    """
    out = Path(out)
    try:
        for name in layouts:
            _refuse_foreign(out, name)
        return {name: _replace(out, name, world, workers) for name in layouts}
    except OSError as error:
        raise UserError(f"demo world: cannot write to {out}: {error}") from error


def _refuse_foreign(out: Path, name: str) -> None:
    """Raises a UserError where `out/name` holds files that the generator did not write."""
    root = out / name
    empty = not root.exists() or (root.is_dir() and not any(root.iterdir()))
    if not empty and name not in _read_manifest(out):
        raise UserError(
            f"{root}: is not empty and was not written by the demo generator (not in {out / MANIFEST}); "
            "choose another output folder or remove it"
        )


def _replace(out: Path, name: str, world: World, workers: int) -> Path:
    """Writes one dataset beside its place and then moves it there."""
    root, staging = out / name, out / f".{name}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _write(staging, name, world, workers)
        # Claimed before it is moved, so that a run stopped in between can be repeated.
        save_json(out / MANIFEST, _read_manifest(out) | {name: asdict(world)})
        if root.exists():
            shutil.rmtree(root)
        os.replace(staging, root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return root


def _write(root: Path, name: str, world: World, workers: int) -> None:
    """Fills the empty folder `root`."""
    FORMATS[name].write_lists(root, world)
    write = partial(FORMATS[name].write_scene, root, world)
    spawn = multiprocessing.get_context("spawn")
    with progress_bar(total=world.scenes, description=name, unit="scene") as bar:
        if workers > 1:
            with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
                for _ in pool.map(write, range(world.scenes)):
                    bar.update()
        else:
            for number in range(world.scenes):
                write(number)
                bar.update()


def _read_manifest(out: Path) -> dict[str, dict]:
    path = out / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text())
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: is not the manifest of a demo world; remove it to start afresh")
    return manifest
