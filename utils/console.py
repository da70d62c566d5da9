"""Terminal output: log lines, progress bars that do not tear them, and small tables."""

import logging
import sys
from collections.abc import Sequence

from tqdm import tqdm

LOGGER = logging.getLogger("densemtl")


class _AboveTheBar(logging.Handler):
    """Writes each line above a running progress bar instead of through it, led by its level from warnings on."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(level + self.format(record), file=sys.stdout)
        sys.stdout.flush()


def setup_console(*, quiet: bool = False) -> None:
    """Send the project's log lines to stdout; `quiet` (processes other than the first) keeps errors only."""
    LOGGER.handlers.clear()
    LOGGER.addHandler(_AboveTheBar())
    LOGGER.setLevel(logging.ERROR if quiet else logging.INFO)
    LOGGER.propagate = False


def progress_bar(*, total: int, description: str, initial: int = 0, unit: str = "it", show: bool = True) -> tqdm:
    """A progress bar on stderr, drawn only on a terminal so that log files stay readable."""
    hidden = not (show and sys.stderr.isatty())
    return tqdm(
        total=total, initial=initial, desc=description, unit=unit, dynamic_ncols=True, leave=False, disable=hidden
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text table: first column flush left, the others flush right."""
    widths = [max(len(str(line[i])) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = [str(cell) for cell in cells]
        return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))])

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)])
