"""Generates demo datasets into a folder: all or nothing for each, and never over somebody else's files."""

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dataset.demo.writers import FORMATS
from dataset.demo.writers.common import World
from utils.errors import UserError

# In OUT, beside the dataset folders: which of them are ours and what they hold.
MANIFEST = "demo_world.json"


def generate(
    out: str | Path,
    layouts: Sequence[str],
    *,
    scenes: int = 10,
    val_scenes: int | None = None,
    frames_per_scene: int = 1,
    size: tuple[int, int] | None = None,
    style: str = "source",
    seed: int = 0,
    truth: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> dict[str, Path]:
    """Writes `out/<layout>/` for every layout, each a dataset root, replacing an earlier demo world there.

    Args:
        layouts: names from `FORMATS`.
        scenes: scenes of each dataset, training and validation together.
        val_scenes: scenes of the validation split where the format has one; None for a fifth, at least one.
        frames_per_scene: annotated frames of each scene.
        size: (width, height); None for a quarter of each dataset's own.
        truth: also writes exact float geometry, see `writers.common.save_truth`.
        workers: processes; the files do not depend on it.

    Returns:
        The root of each dataset.

    Raises:
        UserError: settings out of range, a folder that holds something else, or one that cannot be written.
    """
    out = Path(out)
    if val_scenes is None:
        val_scenes = max(1, scenes // 5) if scenes > 1 else 0
    worlds = {}
    try:
        for name in layouts:
            worlds[name] = World(
                scenes=scenes,
                val_scenes=val_scenes,
                frames=frames_per_scene,
                size=size or FORMATS[name].default_size,
                style=style,
                seed=seed,
                truth=truth,
            )
            _refuse_foreign(out, name)
        return {name: _replace(out, name, world, workers, progress) for name, world in worlds.items()}
    except ValueError as error:
        raise UserError(f"demo world: {error}") from error
    except OSError as error:
        raise UserError(f"demo world: cannot write to {out}: {error}") from error


def _refuse_foreign(out: Path, name: str) -> None:
    """Raises a UserError where `out/name` holds files that the generator did not write."""
    root = out / name
    empty = not root.exists() or (root.is_dir() and not any(root.iterdir()))
    if not empty and name not in _read_manifest(out / MANIFEST):
        raise UserError(
            f"{root}: is not empty and was not written by the demo generator (not in {out / MANIFEST}); "
            "choose another output folder or remove it"
        )


def _replace(out: Path, name: str, world: World, workers: int, progress: bool) -> Path:
    """Writes one dataset beside its place and then moves it there."""
    root, staging = out / name, out / f".{name}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        FORMATS[name].write(staging, world, workers=workers, label=name if progress else None)
        # Claimed before it is moved, so that a run stopped in between can be repeated.
        _write_manifest(out / MANIFEST, _read_manifest(out / MANIFEST) | {name: dataclasses.asdict(world)})
        if root.exists():
            shutil.rmtree(root)
        os.replace(staging, root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return root


def _read_manifest(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: is not the manifest of a demo world ({error}); remove it to start afresh") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: is not the manifest of a demo world; remove it to start afresh")
    return manifest


def _write_manifest(path: Path, manifest: dict[str, dict]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(manifest, indent=2) + "\n")
    os.replace(partial, path)
