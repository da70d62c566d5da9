"""Preparing the datasets of an experiment: finds out what is missing, reads it in parallel, writes it, and reports."""

import math
import os
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from dataset.prepare.plan import Plan, make_plans
from dataset.prepare.rows import ARRAYS, Row, Stamps, array_type, read_row
from dataset.prepare.staging import Staging, take_over
from dataset.prepare.store import Store
from utils.config.load import Experiment
from utils.console import LOGGER, progress
from utils.errors import UserError


def prepare(experiment: Experiment) -> None:
    """Write all arrays that training and evaluating an experiment read and that are not there yet.

    Raises:
        UserError: `data.prepared` is not set, somebody else is writing there, a file of the dataset cannot be read or
            changes meanwhile, or the disk is full. What was finished is kept; the next run goes on from there.
    """
    plans = make_plans(experiment.config)
    stores = list({plan.store.folder.resolve(): plan.store for plan in plans}.values())
    with ExitStack() as locks:
        for store in stores:
            locks.enter_context(store.locked())
            finished = take_over(store)
            if finished:
                LOGGER.info("%s: going on after %d files that a stopped run had finished", store.folder, finished)
        work = [(plan, plan.missing()) for plan in plans]
        missing = sum(len(rows) for _, rows in work)
        total = sum(len(plan.readers) for plan in plans)
        _require_space(work)
        with progress(total=total, initial=total - missing, description="prepare", unit="file") as bar:
            for plan, rows in work:
                if rows:
                    folder = _write(plan, rows, max(1, experiment.config.training.n_workers), bar)
                    _report(plan, rows, folder)
        for plan in plans:
            _require_complete(plan)
        for store in stores:
            store.tidy()
    if not missing:
        LOGGER.info("nothing to do: all %d files are prepared in %s", total, _folders(stores))
    LOGGER.info("use it: %s", shlex.join(["python", "main.py", *experiment.arguments]))


def _write(plan: Plan, rows: Sequence[Row], workers: int, bar: tqdm) -> Path:
    """Read the rows and write them as one part; gives its folder."""
    numbers: Counter[str] = Counter()
    staging = Staging(plan.store, plan.root, Counter(row.kind for row in rows))
    pool = ThreadPoolExecutor(workers)  # decoding and resizing leave Python to other threads
    try:
        jobs = []
        for row in rows:
            jobs.append(pool.submit(_write_row, plan, row, staging, numbers[row.kind]))
            numbers[row.kind] += 1
        for job in as_completed(jobs):
            job.result()
            bar.update()
        return staging.publish()
    finally:
        pool.shutdown(cancel_futures=True)
        staging.close()


def _write_row(plan: Plan, row: Row, staging: Staging, number: int) -> None:
    before = Stamps(plan.root).of(row)
    arrays = read_row(plan.readers[row], row)
    after = Stamps(plan.root)
    prints = after.prints(row)
    for file, old, new in zip(row.files, before, after.of(row), strict=True):
        if old != new:
            raise _changed(plan.root / file)
    staging.write(row, number, arrays, before, prints)


def _require_complete(plan: Plan) -> None:
    """Raises a UserError where a file was written to after it had been read."""
    missing = plan.missing()
    if missing:
        raise _changed(plan.root / missing[0].files[0])


def _changed(path: Path) -> UserError:
    return UserError(
        f"{path}: was changed while it was prepared; run the same command again when nothing writes to the dataset"
    )


def _require_space(work: Sequence[tuple[Plan, Sequence[Row]]]) -> None:
    """Raises a UserError where a disk has too little room for the missing rows."""
    needed: Counter[int] = Counter()
    folders: dict[int, Path] = {}
    for plan, rows in work:
        disk = os.stat(plan.store.folder).st_dev
        folders[disk] = plan.store.folder
        needed[disk] += sum(_bytes(plan.store, row) for row in rows)
    for disk, folder in folders.items():
        free = shutil.disk_usage(folder).free
        if needed[disk] > free:
            raise UserError(
                f"{folder}: {_size(needed[disk])} are needed and {_size(free)} free; make room, or choose another disk "
                "with data.prepared"
            )


def _bytes(store: Store, row: Row) -> int:
    types = [array_type(array, width=store.width, height=store.height) for array in ARRAYS[row.kind]]
    return sum(dtype.itemsize * math.prod(shape) for dtype, shape in types)


def _report(plan: Plan, rows: Sequence[Row], folder: Path) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(row.kind for row in rows).items())
    size = sum(path.stat().st_size for path in folder.iterdir())
    LOGGER.info("wrote %s of %s to %s: %s", counts, plan.root, folder, _size(size))


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def _folders(stores: Sequence[Store]) -> str:
    return ", ".join(str(store.folder) for store in stores)
