"""Every experiment file under `configs/` does a training step and a validation batch, on demo data in its format."""

import re
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT, run_here, tiny
from utils.config.yaml_io import read_mapping

CONFIGS = ROOT / "configs"
EXPERIMENTS = sorted(path for path in CONFIGS.rglob("*.yml") if "setup" in read_mapping(path))
DATASETS = ("cityscapes", "synthia", "vkitti2", "nyudv2")


def base_of(path: Path) -> Path | None:
    """The file that stands beside an experiment for its `--base`."""
    return next(iter(sorted(path.parent.glob("fs_bs*.yml"))), None)


def short(path: Path) -> str:
    return str(path.relative_to(CONFIGS).with_suffix(""))


@pytest.fixture(autouse=True)
def logs(request, monkeypatch, tmp_path) -> Path:
    """LOG_DIR of the test; the datasets are where their variables say."""
    for dataset in DATASETS:
        monkeypatch.setenv(f"{dataset.upper()}_DIR", str(request.getfixturevalue(f"demo_{dataset}")))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


def debug_run(monkeypatch, config: Path, overrides: dict[str, object]) -> int:
    """Exit status of one step and one validation batch."""
    base = base_of(config)
    words = [*(("--base", str(base)) if base else ()), "--config", str(config), "--debug", "--device", "cpu", "-w"]
    for key, value in overrides.items():
        words += ["--set", f"{key}={value}"]
    return run_here(monkeypatch, *words)


def check_report(out: str, config: Path) -> None:
    """The output tells of a step and of figures of every task."""
    assert re.search(r"^step 1/1  total \d", out, re.M)
    assert re.search(r"^validation after step 1: loss \S+  \S", out, re.M)
    for task in read_mapping(config)["setup"]["model"]["tasks"]:
        assert re.search(rf"^  {task}_0 .* -?\d", out, re.M), task
    assert not re.search(r"\bnan\b", out)


def test_there_are_experiments():
    assert len(EXPERIMENTS) >= 32


@pytest.mark.parametrize("config", EXPERIMENTS, ids=short)
def test_one_step_and_one_validation_batch(config, logs, monkeypatch, capsys):
    assert debug_run(monkeypatch, config, tiny(config, base_of(config))) == 0
    check_report(capsys.readouterr().out, config)
    assert not logs.exists()


def test_at_its_real_size(logs, monkeypatch, capsys):
    """ResNet-101 with three tasks, 111 million parameters, on a pair of small images."""
    config = CONFIGS / "cityscapes" / "resnet101_ours_SDN.yml"
    size = {"data.width": 64, "data.height": 64, "data.valid_bs": 2, "data.n_valid_logged": 1}
    overrides = {"setup.model.pretrain": "none", "training.n_workers": 0, **size}
    assert debug_run(monkeypatch, config, overrides) == 0
    check_report(capsys.readouterr().out, config)
