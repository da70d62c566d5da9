"""The rooms of the house: imports point one way, and the config stops at the builders."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = [("main",), ("training",), ("models", "loss", "metrics", "dataset", "optim"), ("vendor",), ("utils",)]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = [path for room in FLOOR for path in [*ROOT.glob(f"{room}.py"), *ROOT.glob(f"{room}/**/*.py")]]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def test_every_folder_of_sources_has_its_floor():
    folders = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert folders - {"tests"} == set(FLOOR) - {"main"} and len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path):
    here = room(path)
    for module in imported(path):
        there = module.partition(".")[0]
        assert there != "tests", module
        assert there not in FLOOR or there == here or FLOOR[there] > FLOOR[here], f"{path} imports {module}"


@pytest.mark.parametrize("here", ["models", "loss", "metrics", "vendor", "optim"])
def test_only_builders_know_the_config(here: str):
    knowing = {p.name for p in SOURCES if room(p) == here and any(m.startswith("utils.config") for m in imported(p))}
    assert knowing <= {"build.py"}


def test_utils_knows_the_field_in_its_config_alone():
    """What is not under utils/config imports nothing from there."""
    ground = [path for path in SOURCES if room(path) == "utils" and "config" not in path.parts]
    assert not [path for path in ground if any(module.startswith("utils.config") for module in imported(path))]


def test_what_is_slow_or_optional_is_imported_in_one_file():
    assert [path.name for path in SOURCES if "wandb" in imported(path)] == ["wandb_logger.py"]
