"""`$ENV:NAME` in experiment files: lookup, export, what a run needs."""

import os
from pathlib import Path

import pytest

from tests.helpers.config_examples import adaptation, errors, load, supervised
from utils.errors import UserError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A process environment of the test's own: loading exports to it."""
    own = {"HOME": "/home/me"}
    monkeypatch.setattr(os, "environ", own)
    return own


def env_file(folder: Path, text: str) -> Path:
    path = folder / "env.yml"
    path.write_text(text)
    return path


def test_process_environment_wins_over_the_file(tmp_path: Path, environment: dict[str, str]):
    environment["DATA"] = "/from/shell"
    file = env_file(tmp_path, "DATA: /from/file\nLOGS: /logs/file\n")
    config = load(
        tmp_path, supervised(), "data.path=$ENV:DATA/cs", "training.logdir=$ENV:LOGS/", env_config=file
    ).config
    assert config.data.source.path == "/from/shell/cs"
    assert config.training.logdir == "/logs/file/"
    assert environment["DATA"] == "/from/shell"
    assert environment["LOGS"] == "/logs/file"


def test_all_constants_are_exported_but_empty_ones(tmp_path: Path, environment: dict[str, str]):
    environment["SET_EMPTY"] = ""
    load(tmp_path, supervised(), env_config=env_file(tmp_path, "A: ~/a\nB:\nC: ''\nSET_EMPTY: /b\nN: 3\n"))
    assert {name: environment.get(name) for name in ("A", "B", "C", "SET_EMPTY", "N")} == {
        "A": "/home/me/a", "B": None, "C": None, "SET_EMPTY": "/b", "N": "3",
    }  # fmt: skip


def test_home_expands_everywhere(tmp_path: Path, environment: dict[str, str]):
    environment["FROM_SHELL"] = "~/shell"
    file = env_file(tmp_path, "HOME_DIR: $HOME/file\n")
    pairs = {
        "$ENV:FROM_SHELL/x": "/home/me/shell/x",
        "$ENV:HOME_DIR": "/home/me/file",
        "~/plain": "/home/me/plain",
        "${HOME}/plain": "/home/me/plain",
        "/a/~/b": "/a/~/b",
    }
    for written, path in pairs.items():
        assert load(tmp_path, supervised(), f"data.path={written}", env_config=file).config.data.source.path == path


def test_undefined_variables_are_reported_with_all_other_mistakes(tmp_path: Path, environment: dict[str, str]):
    environment["EMPTY"] = ""
    file = env_file(tmp_path, "MISSING:\n")
    found = errors(
        tmp_path,
        supervised(),
        "data.path=$ENV:MISSING/x",
        "training.logdir=$ENV:EMPTY",
        "data.train_bs=many",
        env_config=file,
    )
    assert [line.split(":")[0] for line in found] == ["data.path", "training.logdir", "data.train_bs"]
    for line, name in zip(found, ("MISSING", "EMPTY"), strict=False):
        assert f"export {name}=" in line and f"{file} ({name}: ...)" in line


def test_reference_without_a_name(tmp_path: Path):
    (line,) = errors(tmp_path, supervised(), "data.path=$ENV:/x")
    assert line.startswith("data.path: ") and "names no variable" in line


def test_bad_environment_files(tmp_path: Path):
    with pytest.raises(UserError, match="none.yml: no such file"):
        load(tmp_path, supervised(), env_config=tmp_path / "none.yml")
    with pytest.raises(UserError, match=r"env.yml: A: expected a path or another plain value, got \['x'\]"):
        load(tmp_path, supervised(), env_config=env_file(tmp_path, "A: [x]\n"))


def test_prediction_needs_no_data_and_no_log_folder(tmp_path: Path):
    overrides = ("data.path=$ENV:MISSING", "training.logdir=$ENV:LOGS", "setup.model.pretrain=$ENV:WEIGHTS/x")
    loaded = load(tmp_path, supervised(), *overrides, purpose="predict")
    assert loaded.config.data.source.path == "$ENV:MISSING"
    assert len(errors(tmp_path, supervised(), *overrides)) == 3
    (line,) = errors(tmp_path, supervised(), *overrides, "setup.model.backbone=$ENV:NET", purpose="predict")[:1]
    assert line.startswith("setup.model.backbone: '$ENV:NET' needs the variable NET")


def test_evaluation_of_adaptation_needs_no_source(tmp_path: Path):
    overrides = ("data.source.path=$ENV:SOURCE", "setup.model.pretrain=$ENV:WEIGHTS/x")
    assert load(tmp_path, adaptation(), *overrides, purpose="evaluate").config.data.source.path == "$ENV:SOURCE"
    (line,) = errors(tmp_path, adaptation(), "data.target.path=$ENV:TARGET", purpose="evaluate")
    assert line.startswith("data.target.path: '$ENV:TARGET' needs")


def test_evaluation_of_one_dataset_needs_it_wherever_it_is_written(tmp_path: Path):
    config = supervised()
    config["data"] = {"train_bs": 2, "valid_bs": 1, "source": config["data"]}
    del config["data"]["source"]["train_bs"], config["data"]["source"]["valid_bs"]
    (line,) = errors(tmp_path, config, "data.source.path=$ENV:SOURCE", purpose="evaluate")
    assert line.startswith("data.source.path: '$ENV:SOURCE' needs")
