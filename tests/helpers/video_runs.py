"""Runs of depth from video (SDE) for the end-to-end tests: a small network on the demo world's sequences."""

from pathlib import Path

from tests.helpers.runs import ROOT, arguments
from utils.config.load import Experiment, load_experiment

CONFIG = Path("configs/demo/monodepth/resnet18_ours_SD.yml")
SMALL = {"data__width": 128, "data__height": 64, "training__save_finished_model": False}
STEPS = 2


def words(*extra: str, iterations: int = STEPS, **overrides: object) -> list[str]:
    """Command line of a small run."""
    options = SMALL | {"training__iterations": iterations} | overrides
    return arguments(*extra, experiment=("--config", str(CONFIG)), **options)


def experiment(purpose: str = "train", config: Path = CONFIG, **overrides: object) -> Experiment:
    """The experiment of `words(...)`, loaded; `config` in place of the demo's."""
    line = words(**overrides)
    settings = [after for word, after in zip(line, line[1:], strict=False) if word == "--set"]
    return load_experiment(ROOT / config, base=None, overrides=settings, purpose=purpose)
