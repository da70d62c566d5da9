"""Preparing the datasets of an experiment: finds out what is missing, reads and writes it in parallel, and reports."""

import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from dataset.build import DatasetUse, list_samples, prepared_store, require_samples
from dataset.experiment import target_use, training_use, validation_use
from dataset.files import DatasetFiles, Item
from dataset.prepare.store import PreparedStore, size_and_time
from utils.config.load import Experiment
from utils.config.schema import Config
from utils.console import LOGGER, progress_bar
from utils.errors import UserError


@dataclass(frozen=True)
class Job:
    """One array to be written."""

    files: DatasetFiles
    store: PreparedStore
    item: Item

    def run(self) -> None:
        """Read and write it.

        Raises:
            UserError: A file cannot be read, or changes meanwhile; or the array cannot be written.
        """
        if self.store.has(self.item):  # another process was faster
            return
        before = [size_and_time(file) for file in self.item.files]
        size = {"width": self.store.width, "height": self.store.height}
        array = self.files.read({"only": self.item}, **size)["only"]
        for file, then in zip(self.item.files, before, strict=True):
            if size_and_time(file) != then:
                raise UserError(
                    f"{file}: was changed while it was being prepared; run the same command again when nothing writes "
                    "to the dataset"
                )
        self.store.write(self.item, array)


def prepare(experiment: Experiment) -> None:
    """Write all arrays that training and evaluating an experiment read and that are not there yet.

    Raises:
        UserError: `data.prepared` is not set, a file of the dataset cannot be read or changes meanwhile, or the disk is
            full. What was finished is kept; the next run goes on from there.
    """
    jobs = needed(experiment.config)
    missing = [job for job in jobs if not job.store.has(job.item)]
    _require_space(missing)
    bar = progress_bar(total=len(jobs), initial=len(jobs) - len(missing), description="prepare", unit="file")
    # Decoding and resizing leave Python to other threads.
    pool = ThreadPoolExecutor(max(1, experiment.config.training.n_workers))
    try:
        with bar:
            for done in as_completed([pool.submit(job.run) for job in missing]):
                done.result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    _report(missing)
    if not missing:
        folders = ", ".join(dict.fromkeys(str(job.store.folder) for job in jobs))
        LOGGER.info("nothing to do: all %d arrays are prepared in %s", len(jobs), folders)
    LOGGER.info("use it: %s", shlex.join(["python", "main.py", *experiment.arguments]))


def needed(config: Config) -> list[Job]:
    """Every array of the datasets whose config says `prepared`, once.

    Raises:
        UserError: No dataset of the experiment is to be prepared, or one is not there or not as it should be.
    """
    jobs: dict[Path, Job] = {}
    for use in (training_use(config), target_use(config), validation_use(config)):
        if use is not None and use.cfg.prepared is not None:
            jobs |= {job.store.path(job.item): job for job in _jobs(use, use.cfg.prepared)}
    if not jobs:
        raise UserError("data.prepared: not set; say where to write, --set data.prepared=FOLDER")
    return list(jobs.values())


def _jobs(use: DatasetUse, base: str) -> Iterator[Job]:
    """Those of the samples that the config may read, whatever its seeds, subset and number of validation samples."""
    cfg = use.cfg
    files, names = list_samples(use)
    if files.splits is not None:  # the split depends on a seed
        names = files.names("all", seed=cfg.dataset_seed)
    if use.split != "val" and not cfg.load_unlabeled:
        names = [name for name in names if files.is_annotated(name)]
    names = [name for name in names if files.has_frames(name, use.frames)]
    require_samples(use, files, names)
    store = prepared_store(base, cfg, files)
    for name in names:
        for item in files.items(name, use.frames, labelled=cfg.load_semantic_gt).values():
            yield Job(files, store, item)


def _require_space(jobs: Sequence[Job]) -> None:
    """Raises a UserError where a disk has too little room for the missing arrays."""
    sizes: Counter[Path] = Counter()
    for job in jobs:
        sizes[job.store.folder] += job.store.n_bytes(job.item)
    needed_on: Counter[int] = Counter()
    for folder, size in sizes.items():
        exists = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        disk = exists.stat().st_dev
        needed_on[disk] += size
        free = shutil.disk_usage(exists).free
        if needed_on[disk] > free:
            raise UserError(
                f"{folder}: {_size(needed_on[disk])} are needed and {_size(free)} free; make room, or choose another "
                "disk with data.prepared"
            )


def _report(jobs: Sequence[Job]) -> None:
    for folder in dict.fromkeys(job.store.folder for job in jobs):
        written = [job for job in jobs if job.store.folder == folder]
        counts = Counter(job.item.kind for job in written)
        size = sum(job.store.n_bytes(job.item) for job in written)
        text = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        LOGGER.info("wrote %s of %s to %s: %s", text, written[0].files.root, folder, _size(size))


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
