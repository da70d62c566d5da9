"""Which DenseMTL this is."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

VERSION = "0.1.0"  # pyproject.toml reads it here


def commit() -> str | None:
    """The git commit of this checkout, shortened; None without git, or where the sources are no checkout."""
    command = ["git", f"--git-dir={Path(__file__).parents[1] / '.git'}", "rev-parse", "--short=10", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


class VersionAction(argparse.Action):
    """`--version`, for which git is asked only when it is given."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        known = commit()
        print(f"DenseMTL {VERSION}" + (f" ({known})" if known else ""))
        parser.exit()
