"""README and docs hold true: links lead somewhere, commands are understood, lists are those of the code."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

import main
from dataset.demo.__main__ import build_parser as demo_parser
from dataset.labels import label_set
from dataset.prepare.__main__ import build_parser as prepare_parser
from tests.helpers.reference import MARKER, PAGE, anchor, reference
from training.benchmark.__main__ import build_parser as benchmark_parser
from training.compare import build_parser as compare_parser
from training.trivial import build_parser as trivial_parser
from utils.config.load import load_experiment
from utils.config.schema.data import DATASETS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDERS = ("BASE", "CONFIG")  # experiment files that a reader is to name
PARSERS = {
    "main.py": main.build_parser,
    "dataset.demo": demo_parser,
    "dataset.prepare": prepare_parser,
    "training.benchmark": benchmark_parser,
    "training.compare": compare_parser,
    "training.trivial": trivial_parser,
}
OTHERS = ("venv", "tests.helpers.reference")  # modules without options of ours
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text())


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(path.read_text()) if kind == language]


def anchors(path: Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)", prose(path), re.M)}


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell script, without assignments before it."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line]


@page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not heading or heading in anchors(path), target


@page
def test_long_pages_have_a_table_of_contents(page):
    if len(page.read_text().splitlines()) > 80:
        missing = [h for h in re.findall(r"^## (.*)", prose(page), re.M) if f"](#{anchor(h)})" not in prose(page)]
        assert not missing


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 220


@page
def test_commands_are_understood(page):
    inline = re.findall(r"`(make [^`]*)`", prose(page))
    for text in blocks(page, "sh"):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    for words in [command for text in [*blocks(page, "sh"), *inline] for command in commands(text)]:
        check(words)


def check(words: list[str]) -> None:
    """Fails on a command of this project that its command line would refuse."""
    if words[0] == "make":
        assert {word for word in words[1:] if "=" not in word} <= set(TARGETS), words
    name = "main.py" if "main.py" in words else words[2] if words[1:2] == ["-m"] else None
    if name is None or name in OTHERS or "--help" in words:
        return
    given = words[words.index(name) + 1 :]
    arguments = PARSERS[name]().parse_args([word for word in given if word not in ("$resume", "&")])
    if name == "main.py":
        main.check(arguments)
    config = getattr(arguments, "config", None)
    if config is not None and config.name not in PLACEHOLDERS:
        base = arguments.base and ROOT / arguments.base
        load_experiment(ROOT / config, base=base, overrides=arguments.overrides, purpose="predict")


def test_python_examples_compile():
    for text in [text for path in PAGES for text in blocks(path, "python")]:
        compile(text, "example", "exec")


def test_configuration_lists_the_keys_of_the_schema():
    assert PAGE.read_text().partition(MARKER)[2].strip() == reference().strip(), "run python -m tests.helpers.reference"


@pytest.mark.parametrize("dataset, n_classes", [(name, n) for name, facts in DATASETS.items() for n in facts.n_classes])
def test_outputs_lists_the_classes(dataset, n_classes):
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(label_set(dataset, n_classes).names))
    assert re.search(
        rf"^\| [^|]*\b{dataset}\b[^|]* \| {n_classes} \| {classes} \|$", prose(ROOT / "docs/outputs.md"), re.M
    )
