"""Every experiment file in `configs/`: it loads, runs, says only what differs from its base.

That they hold the paper's values is in `test_published_files.py`.
"""

import os
import re
from pathlib import Path

import pytest
import torch

from models.build import build_model
from optim.groups import parameter_groups
from tests.helpers.runs import ROOT, run_here, tiny
from utils.config.load import Experiment, load_experiment
from utils.config.yaml_io import read_mapping, write_mapping

CONFIGS = ROOT / "configs"
ENV_CONFIG = CONFIGS / "env_config.yml"
BASES = sorted(CONFIGS.rglob("fs_bs*.yml"))
EXPERIMENTS = sorted(path for path in CONFIGS.rglob("*.yml") if path not in BASES and path != ENV_CONFIG)
DATASETS = ("cityscapes", "synthia", "vkitti2", "nyudv2")
DATASET_VARIABLES = tuple(f"{dataset.upper()}_DIR" for dataset in DATASETS)


def short(path: Path) -> str:
    return str(path.relative_to(CONFIGS).with_suffix(""))


def base_of(path: Path) -> Path | None:
    return next(path.parent.glob("fs_bs*.yml"), None)


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dummy dataset folders, in a process environment of the test's own, for tests that read nothing of them."""
    if "logs" in request.fixturenames:
        return
    own = {name: f"/data/{name}" for name in DATASET_VARIABLES}
    monkeypatch.setattr(os, "environ", {"HOME": "/home/me", **own})


def load(name: str) -> Experiment:
    path = CONFIGS / f"{name}.yml"
    return load_experiment(path, base=base_of(path), env_config=ENV_CONFIG)


def test_all_files_are_there():
    """So that a file that the glob misses, or one nobody meant to add, shows."""
    assert len(BASES) == 8
    assert len(EXPERIMENTS) == 36
    expected = [f"{dataset}/resnet101_STL_{letter}" for dataset in DATASETS for letter in "SDN"]
    expected += [f"{dataset}/resnet101_ours_{kind}" for dataset in DATASETS for kind in ("SD", "SDN")]
    expected += ["nyudv2/resnet101_STL_E", "nyudv2/resnet101_ours_SDNE"]
    expected += ["cityscapes/monodepth/resnet101_ours_SD", "demo/monodepth/resnet18_ours_SD", "demo/resnet18_ours_SDNE"]
    expected += [f"demo/da/resnet18_{variant}" for variant in ("ours_SD", "source_only_SD", "oracle_SD")]
    variants = ("ours_SD", "ours_SDN", "source_only_SD", "oracle_SD")
    expected += [f"da/{pair}/resnet101_{variant}" for pair in ("sy2cs", "vk2cs") for variant in variants]
    assert sorted(map(short, EXPERIMENTS)) == sorted(expected)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_loads_also_when_saved_and_builds_at_its_real_size(path: Path, tmp_path: Path):
    """Every network, and a learning rate for every parameter; on the meta device, which has shapes but no memory."""
    experiment = load(short(path))
    config = experiment.config
    assert experiment.name == path.stem
    assert config.training.logdir == "logs" and config.data.validation.path.startswith("/data/")
    write_mapping(experiment.raw, tmp_path / "cfg.yml")
    assert load_experiment(tmp_path / "cfg.yml").config == config
    with torch.device("meta"):
        network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids)
    assert network.tasks == config.setup.tasks
    groups = parameter_groups(network, config.setup.lr)
    assert len(groups) == len(config.setup.lr)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_a_step_and_a_validation_batch_on_demo_data(path: Path, logs: Path, monkeypatch, capsys):
    base = base_of(path)
    words = [*(("--base", str(base)) if base else ()), "--config", str(path), "--debug", "--device", "cpu", "-w"]
    for key, value in tiny(path, base).items():
        words += ["--set", f"{key}={value}"]
    assert run_here(monkeypatch, *words) == 0
    out = capsys.readouterr().out
    assert re.search(r"^step 1/1  total \d", out, re.M)
    assert re.search(r"^validation after step 1: loss \S+  \S", out, re.M)
    for task in read_mapping(path)["setup"]["model"]["tasks"]:
        assert re.search(rf"^  {task}_0 .* -?\d", out, re.M), task
    assert not re.search(r"\bnan\b", out) and not logs.exists()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_opens_with_its_command_and_repeats_no_section_of_its_base(path: Path):
    opening, base = re.match(r"(#.*\n)+", path.read_text()), base_of(path)
    arguments = f"--base {base.relative_to(ROOT)} " if base else ""
    assert opening and f"#   python main.py {arguments}--config {path.relative_to(ROOT)}\n" in opening[0]
    inherited, own = read_mapping(base) if base else {}, read_mapping(path)
    assert [name for name, section in own.items() if inherited.get(name) == section] == []


@pytest.mark.parametrize("base", BASES, ids=short)
def test_every_section_of_a_base_is_used(base: Path):
    users = [read_mapping(path) for path in EXPERIMENTS if base_of(path) == base]
    assert [name for name in read_mapping(base) if all(name in user for user in users)] == []


def test_environment_file():
    assert read_mapping(ENV_CONFIG) == {
        "LOG_DIR": "logs",
        "DOWNLOAD_DIR": "downloads",
        "MODELS": None,
        **dict.fromkeys(DATASET_VARIABLES),
    }
    used = {name for path in [*BASES, *EXPERIMENTS] for name in re.findall(r"\$ENV:(\w+)", path.read_text())}
    assert used == {"LOG_DIR", *DATASET_VARIABLES}


@pytest.mark.parametrize("pair", ["sy2cs", "vk2cs"])
def test_domain_adaptation_with_normals_differs_in_them_and_their_weights_alone(pair: str):
    two, three = (load(f"da/{pair}/resnet101_ours_{kind}").raw for kind in ("SD", "SDN"))
    for raw in (two, three):
        weights = {task: section["kwargs"].pop("weight") for task, section in raw["setup"]["loss"]["tasks"].items()}
        assert weights == ({"semseg": 50, "depth": 1} if raw is two else {"semseg": 100, "depth": 1, "normals": 100})
    for section in (three["setup"]["model"], three["setup"]["loss"]):
        del section["tasks"]["normals"]
    two["setup"]["loss"].pop("kwargs"), three["setup"]["loss"].pop("kwargs")  # baselines
    assert two == three


@pytest.mark.parametrize("pair", ["sy2cs", "vk2cs"])
def test_bounds_of_domain_adaptation_differ_in_their_data_alone(pair: str):
    ours, source_only, oracle = (
        load(f"da/{pair}/resnet101_{name}_SD").raw for name in ("ours", "source_only", "oracle")
    )
    for bound in (source_only, oracle):
        assert [bound[name] for name in ("setup", "optim", "scheduler")] == [
            ours[name] for name in ("setup", "optim", "scheduler")
        ]
    assert source_only["data"] == ours["data"]
    assert source_only["training"].pop("da") == {"doda": False}
    ours["training"].pop("da")
    assert source_only["training"] == oracle["training"] == ours["training"]
    data = oracle["data"]
    target = ours["data"]["target"]
    assert {name: data[name] for name in target} == target
    assert data["n_classes"] == ours["data"]["n_classes"]
    assert "source" not in data
    assert "target" not in data


def test_demo_is_small():
    config = load("demo/resnet18_ours_SDNE").config
    assert (config.setup.model.backbone, config.setup.model.pretrain) == ("resnet18", "none")
    assert config.setup.tasks == ("semseg", "depth", "normals", "edges")
    assert (config.data.source.dataset, config.data.source.n_classes) == ("nyudv2", 40)
    assert config.data.source.height * config.data.source.width <= 128 * 160
