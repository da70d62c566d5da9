"""Which DenseMTL this is."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = "0.1.0"  # pyproject.toml reads it here


def git(*words: str) -> str | None:
    """The output of git about this checkout; None without git, or if the sources are no checkout."""
    command = ["git", f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def version() -> str:
    """Name, version and commit, as `--version` prints them."""
    known = git("rev-parse", "--short=10", "HEAD")
    return f"DenseMTL {VERSION}" + (f" ({known})" if known else "")
