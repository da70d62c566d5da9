"""The folder of a run: where it is, what its files are called, and how `--resume` finds it again.

Layout: `<LOG_DIR>/<dataset>/<config-name>/s<seed>/<YYYY-MM-DD_HH-MM-SS>/`, with `eval/` before the config name when a
run only evaluates; for domain adaptation `<dataset>` is `<source>2<target>`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from utils.config.load import Experiment
from utils.errors import UserError
from utils.files import make_folder


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "cfg.yml"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def resume(self) -> Path:
        return self.path / "resume.pkl"

    @property
    def best_model(self) -> Path:
        return self.path / "best_model.pkl"

    @property
    def panels(self) -> Path:
        return self.path / "panels"

    def model(self, step: int) -> Path:
        return self.path / f"model_{step}.pkl"


def family(experiment: Experiment, *, evaluation: bool = False) -> Path:
    """The folder that holds all runs of one dataset, config name and seed."""
    data = experiment.config.data
    dataset = data.source.dataset if data.target is None else f"{data.source.dataset}2{data.target.dataset}"
    root = Path(experiment.config.training.logdir).expanduser() / dataset
    if evaluation:
        root = root / "eval"
    return root / experiment.name / f"s{experiment.config.training.seed}"


def new_run_folder(experiment: Experiment, *, evaluation: bool = False) -> RunFolder:
    """Create the folder of a run that starts now; two that start in the same second get folders of their own."""
    parent = family(experiment, evaluation=evaluation)
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
    parent = family(experiment)
    found = [(path.stat().st_mtime_ns, path) for path in parent.glob("*/resume.pkl")]
    if not found:
        raise UserError(
            f"--resume: no resume.pkl in any run folder under {parent}; start the run without --resume, or give the "
            "--config and --seed of the run to continue"
        )
    return RunFolder(max(found)[1].parent)
