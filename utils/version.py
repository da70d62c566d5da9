"""Which DenseMTL this is."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VERSION = "0.1.0"  # pyproject.toml reads it here


def git(*words: str) -> str | None:
    """The output of git about this checkout; None without git, or if the sources are no checkout."""
    command = ["git", f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


class VersionAction(argparse.Action):
    """`--version`; runs git only when it is given."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        known = git("rev-parse", "--short=10", "HEAD")
        print(f"DenseMTL {VERSION}" + (f" ({known})" if known else ""))
        parser.exit()
