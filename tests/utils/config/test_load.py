"""Loading of experiment files: YAML, merging, `--set`, `--seed`, saving."""

import os
from pathlib import Path

import pytest
import yaml

from tests.helpers.config_examples import adaptation, errors, load, supervised
from utils.config.load import changed_keys, load_experiment
from utils.config.yaml_io import parse_yaml, write_mapping
from utils.errors import UserError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A process environment of the test's own: loading exports to it."""
    own = {"HOME": "/home/me", "PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", own)
    return own


# --- YAML ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("2.5e-4", 2.5e-4), ("1E3", 1000.0), ("-3e+2", -300.0), ("1.", 1.0), (".5", 0.5),
        ("42", 42), ("40_000", 40000), ("{0: 100, 10: 5}", {0: 100, 10: 5}), ("15-deg-left", "15-deg-left"),
        ("e4", "e4"), ("1e", "1e"), ("'1e-4'", "1e-4"), ("True", True), ("", None),
    ],
)  # fmt: skip
def test_yaml_scalars(text: str, value: object):
    parsed = parse_yaml(text, "a test")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.getcwd []\n", "line 1, column 4: not valid YAML: could not determine"),
        ("setup:\n  lr: 1\n  name: x\n  lr: 2\n", "line 4, column 3: .*'lr' is repeated here, first on line 2"),
        ("data: {a: 1\nb: 2\n", "line 2, column 2: not valid YAML: expected ',' or '}'"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: 2020-13-45", "month must be in 1..12"),
        ("", "found nothing"),
        ("- a\n", "found a list"),
        ("hello\n", "found a str"),
    ],
)
def test_bad_yaml_is_named_by_file_and_place(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError, match=f"experiment.yml.*{message}"):
        load(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere.yml: no such file"):
        load_experiment(tmp_path / "nowhere.yml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_experiment(tmp_path)
    (tmp_path / "binary.yml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(UserError, match=r"binary.yml: not a text file in UTF-8 \(byte 3\)"):
        load_experiment(tmp_path / "binary.yml")


# --- merging ---


def test_a_section_of_the_experiment_replaces_that_of_the_base_whole(tmp_path: Path):
    base, experiment = supervised(), {"optim": {"name": "Adam"}}
    base["optim"] = {"name": "SGD", "clip_grad_norm": 10, "kwargs": {"momentum": 0.9}}
    (tmp_path / "base.yml").write_text(yaml.safe_dump(base))
    loaded = load(tmp_path, experiment, base=tmp_path / "base.yml")
    assert loaded.raw["optim"] == {"name": "Adam"}
    assert loaded.config.optim.clip_grad_norm is None
    assert loaded.config.data.source.width == 128
    assert loaded.name == "experiment"


def test_missing_sections_point_to_the_base(tmp_path: Path):
    config = supervised()
    del config["data"], config["optim"]
    found = errors(tmp_path, config)
    assert [line.split(":")[0] for line in found] == ["data", "optim"] and all("--base" in line for line in found)


# --- --set ---


def test_set_replaces_single_keys_with_yaml_values(tmp_path: Path):
    loaded = load(
        tmp_path,
        supervised(),
        "data.train_bs=4",
        "setup.lr.default=2e-3",
        "setup.loss.tasks.semseg.kwargs.scales=[0]",
        "training.use_amp=true",
        "setup.loss.kwargs.baselines=null",
    )
    config = loaded.config
    assert (config.data.train_bs, config.setup.lr["default"], config.training.use_amp) == (4, 2e-3, True)
    assert config.setup.loss.tasks["semseg"].kwargs.scales == [0]
    assert config.setup.loss.kwargs.baselines is None
    assert loaded.raw["data"]["train_bs"] == 4


def test_set_creates_mappings_on_the_way(tmp_path: Path):
    loaded = load(tmp_path, supervised(), "data.augmentations.random_horizontal_flip=0.5", "training.val_interval.0=7")
    assert loaded.config.data.source.augmentations.random_horizontal_flip == 0.5
    assert loaded.config.training.val_interval == {0: 7}


def test_set_reaches_number_keys_and_dotted_group_names(tmp_path: Path):
    config = supervised()
    config["training"]["val_interval"] = {0: 100, 1000: 200}
    loaded = load(tmp_path, config, "training.val_interval.1000=5", "setup.lr.heads.depth=0.5", "setup.lr.backbone=0.1")
    assert loaded.config.training.val_interval == {0: 100, 1000: 5}
    assert loaded.config.setup.lr == {"default": 1e-4, "backbone": 0.1, "heads.depth": 0.5}


def test_set_leaves_a_shared_part_alone(tmp_path: Path):
    config = supervised()
    tasks = config["setup"]["model"]["tasks"]
    tasks["depth"]["kwargs"] = tasks["semseg"]["kwargs"]
    assert "*id" in yaml.safe_dump(config)  # the file has one mapping for both, by an alias
    loaded = load(tmp_path, config, "setup.model.tasks.depth.kwargs.num_out_ch=1")
    tasks = loaded.config.setup.model.tasks
    assert (tasks["semseg"].kwargs.num_out_ch, tasks["depth"].kwargs.num_out_ch) == (16, 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.train_bs", "--set data.train_bs: expected KEY=VALUE with a dotted key, such as data.train_bs=4"),
        ("=4", "--set =4: expected KEY=VALUE"),
        ("data..x=4", "--set data..x=4: expected KEY=VALUE"),
        ("data.train_bs.x=4", "--set data.train_bs.x=4: data.train_bs holds the value 2, which has no keys"),
        (
            "setup.loss.tasks.semseg.kwargs.scales.0=1",
            "--set setup.loss.tasks.semseg.kwargs.scales.0=1: setup.loss.tasks.semseg.kwargs.scales holds a list",
        ),
        ("data.width=[1", "--set data.width=[1, line 1, column 3: not valid YAML"),
    ],
)
def test_bad_set(tmp_path: Path, override: str, message: str):
    with pytest.raises(UserError) as caught:
        load(tmp_path, supervised(), override)
    assert str(caught.value).startswith(message)


# --- --seed ---


def test_seed_sets_the_training_seed(tmp_path: Path):
    config = load(tmp_path, supervised(), "data.dataset_seed=3", seed=7).config  # --set wins over --seed
    assert (config.training.seed, config.data.source.dataset_seed) == (7, 3)
    assert load(tmp_path, supervised()).config.training.seed == 42


def test_seed_reaches_source_and_target(tmp_path: Path):
    config = adaptation()
    config["data"]["target"]["dataset_seed"] = 1
    data = load(tmp_path, config, seed=7).config.data
    assert (data.source.dataset_seed, data.target.dataset_seed) == (7, 7)


# --- saving ---


def test_saved_config_loads_to_the_same(tmp_path: Path, environment: dict[str, str]):
    environment["DATA"] = "/my data/ünï: #1"
    config = supervised()
    config["training"]["val_interval"] = {0: 100, 1000: 200}
    config["setup"]["model"]["tasks"] = dict(reversed(config["setup"]["model"]["tasks"].items()))
    looks_like_a_number = "setup.model.pretrain='1e-4'"
    first = load(tmp_path, config, "data.path=$ENV:DATA", "setup.lr.default=0.00001", looks_like_a_number)
    assert first.config.setup.model.pretrain == "1e-4"
    write_mapping(first.raw, tmp_path / "cfg.yml")
    second = load_experiment(tmp_path / "cfg.yml")
    assert second.raw == first.raw
    assert second.config == first.config
    assert second.config.setup.tasks == ("depth", "semseg")
    assert list(second.raw) == list(first.raw)
    assert second.name == "cfg"


def test_changed_keys_are_dotted_and_name_what_came_and_what_left():
    before = {"a": {"b": 1, "c": [1, 2]}, "gone": 0, "same": {"x": 1}}
    after = {"a": {"b": 2, "c": [1, 2], "new": None}, "same": {"x": 1}}
    assert changed_keys(before, after) == ["a.b", "a.new", "gone"]
    assert changed_keys(before, before) == []
