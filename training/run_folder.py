"""The folder of a run: where it is, how its files are named, and how `--resume` and `--weights` find them again.

Layout: `<LOG_DIR>/<dataset>/<config-name>/s<seed>/<YYYY-MM-DD_HH-MM-SS>/`, with `eval/` before the config name when a
run only evaluates; for domain adaptation `<dataset>` is `<source>2<target>`.
"""

import os
import re
from datetime import datetime
from pathlib import Path

from utils.config.load import RUN_CONFIG, Experiment
from utils.errors import UserError
from utils.files import make_folder

MAX_LISTED = 8  # entries of a folder without weights


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / RUN_CONFIG
        self.log = path / "log.jsonl"
        self.record = path / "run.json"
        self.metrics = path / "metrics.json"
        self.resume = path / "resume.pkl"
        self.best_model = path / "best_model.pkl"
        self.panels = path / "panels"

    def model(self, step: int) -> Path:
        return self.path / f"model_{step}.pkl"

    def weights(self) -> Path | None:
        """The best weights, or else the latest; None if there are none."""
        if self.best_model.is_file():
            return self.best_model
        names = (re.fullmatch(r"model_(\d+)\.pkl", path.name) for path in self.path.iterdir())
        last = max((int(name[1]) for name in names if name), default=None)
        return None if last is None else self.model(last)


def find_weights(path: Path) -> Path:
    """The weights file that a path names: itself or, for a run folder, its best weights, or else its latest.

    A path that does not exist is searched under the folder `$MODELS`.

    Raises:
        UserError: There is none; lists what was tried, or what the folder holds.
    """
    given = path.expanduser()
    candidates = [given]
    if os.environ.get("MODELS") and not given.is_absolute():
        candidates.append(Path(os.environ["MODELS"]).expanduser() / given)
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        tried = ", ".join(str(candidate) for candidate in candidates)
        hint = "" if len(candidates) > 1 or given.is_absolute() else "; $MODELS, the folder also searched, is not set"
        raise UserError(f"no weights file at {tried}{hint}")
    if not found.is_dir():
        return found
    weights = RunFolder(found).weights()
    if weights is None:
        names = sorted(entry.name for entry in found.iterdir())
        listed = ", ".join(names[:MAX_LISTED]) + (" ..." if len(names) > MAX_LISTED else "")
        raise UserError(
            f"{found}: this folder has no best_model.pkl and no model_<step>.pkl; it holds {listed or 'nothing'}. Name "
            "a weights file, or the folder of a run that has weights"
        )
    return weights


def experiment_folder(experiment: Experiment, *, evaluation: bool = False) -> Path:
    """The folder that holds all runs of one dataset, config name and seed."""
    data = experiment.config.data
    dataset = data.source.dataset if data.target is None else f"{data.source.dataset}2{data.target.dataset}"
    root = Path(experiment.config.training.logdir).expanduser() / dataset
    if evaluation:
        root = root / "eval"
    return root / experiment.name / f"s{experiment.config.training.seed}"


def new_run_folder(experiment: Experiment, *, evaluation: bool = False) -> RunFolder:
    """Create the folder of a run that starts now; runs that start in the same second get separate folders."""
    parent = experiment_folder(experiment, evaluation=evaluation)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"_{n}" for n in range(1, 1000))):
        try:
            return RunFolder(make_folder(parent / (stamp + suffix), config_key="training.logdir"))
        except FileExistsError:
            continue
    raise UserError(f"{parent}: a thousand runs started in one second; remove some")


def latest_run_folder(experiment: Experiment) -> RunFolder:
    """The run of this dataset, config name and seed whose `resume.pkl` is the newest.

    Raises:
        UserError: There is none; names the folder searched.
    """
    parent = experiment_folder(experiment)
    found = [(path.stat().st_mtime_ns, path) for path in parent.glob("*/resume.pkl")]
    if not found:
        raise UserError(
            f"--resume: no resume.pkl in any run folder under {parent}; start the run without --resume, or give the "
            "--config and --seed of the run to continue"
        )
    return RunFolder(max(found)[1].parent)
