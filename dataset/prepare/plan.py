"""What an experiment needs prepared: the rows of every dataset it reads whose config says `prepared`."""

from dataclasses import dataclass
from pathlib import Path

from dataset.arrays import ArrayReader
from dataset.build import Listing, list_samples
from dataset.experiment import DatasetUse, target_use, training_use, validation_use
from dataset.prepare.rows import Row, Stamps, sample_rows
from dataset.prepare.store import Index, Store
from utils.config.schema import Config
from utils.errors import UserError


@dataclass(frozen=True)
class Plan:
    """What is needed of one dataset folder at one size.

    Attributes:
        store: where it is kept.
        root: the dataset's folder.
        readers: for each row what reads it.
    """

    store: Store
    root: Path
    readers: dict[Row, ArrayReader]

    def missing(self) -> list[Row]:
        """The rows that the store does not hold as the files are now."""
        index = Index(self.store.sound_parts(), Stamps(self.root))
        return [row for row in self.readers if index.find(row) is None]


def make_plans(config: Config) -> list[Plan]:
    """One plan for each store and dataset folder.

    Raises:
        UserError: No dataset of the experiment is to be prepared, or one is not there or not as it should be.
    """
    plans: dict[tuple[Path, Path], Plan] = {}
    for use in (training_use(config), target_use(config), validation_use(config)):
        if use is None or use.cfg.prepared is None:
            continue
        cfg = use.cfg
        listing = list_samples(
            cfg, split=use.split, tasks=use.tasks, training=use.training, section=use.section, sequences=use.training
        )
        store = Store(Path(cfg.prepared), dataset=cfg.dataset, width=cfg.width, height=cfg.height)
        root = listing.layout.root
        plan = plans.setdefault((store.folder.resolve(), root.resolve()), Plan(store, root, {}))
        reader = ArrayReader(listing.layout, width=cfg.width, height=cfg.height)
        names = _samples(use, listing)
        if not names:
            raise UserError(f"{use.section}.path: no sample of the split {use.split!r} of {cfg.dataset} in {root}")
        for name in names:
            rows = sample_rows(listing.layout, name, listing.frames)
            if not cfg.load_semantic_gt:
                rows.pop("semseg", None)
            for row in rows.values():
                plan.readers.setdefault(row, reader)
    if not plans:
        raise UserError("data.prepared: not set; say where to write, --set data.prepared=FOLDER")
    return list(plans.values())


def _samples(use: DatasetUse, listing: Listing) -> list[str]:
    """The samples that the config may read, whatever its seeds, subset and number of validation samples."""
    layout, names = listing.layout, listing.names
    if layout.splits is not None:  # the split depends on a seed
        names = layout.names("all", seed=use.cfg.dataset_seed)
    if use.split != "val" and not use.cfg.load_unlabeled:
        names = [name for name in names if layout.is_annotated(name)]
    return [name for name in names if layout.has_frames(name, listing.frames)]
