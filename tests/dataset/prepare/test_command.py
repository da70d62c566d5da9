"""The command line of preparing: what it says, and its exit statuses."""

import shlex

import pytest

from dataset.prepare import run
from tests.helpers.dataset_files import write_cityscapes, write_nyudv2
from tests.helpers.prepared import NAMES, words
from tests.helpers.runs import prepare_here


@pytest.fixture
def roots(tmp_path):
    write_nyudv2(tmp_path / "nyudv2")
    return tmp_path


def test_the_command_says_what_it_wrote_and_how_to_use_it(roots, capsys):
    line = words("nyudv2", roots, prepared=roots / "prepared")
    assert prepare_here(*line) == 0
    out = capsys.readouterr().out
    (part,) = roots.glob("prepared/nyudv2_32x32/part-*")
    size = sum(path.stat().st_size for path in part.iterdir())
    assert f"wrote 3 frames, 3 semseg, 3 depth, 3 normals, 3 edges of {roots / 'nyudv2'} to {part}: " in out
    assert f": {size / 1000:.3g} kB" in out
    used = shlex.split(next(line for line in out.splitlines() if line.startswith("use it: ")).removeprefix("use it: "))
    assert used[:2] == ["python", "main.py"] and sorted(used[2:]) == sorted(line)


def test_the_target_of_an_adaptation_alone_as_its_evaluation_asks_for(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    overrides = ("data.source.path=$ENV:NOWHERE", f"data.target.prepared={tmp_path}/prepared")
    assert prepare_here(*words("adaptation", tmp_path, *overrides)) == 0
    assert capsys.readouterr().out.count("wrote ") == 1
    overrides += (f"data.source.prepared={tmp_path}/prepared",)
    assert prepare_here(*words("adaptation", tmp_path, *overrides)) == 2
    assert "data.source.path: '$ENV:NOWHERE' needs the variable NOWHERE" in capsys.readouterr().err


def test_mistakes_and_stops_are_exit_statuses(roots, capsys, monkeypatch):
    assert prepare_here(*words("nyudv2", roots)) == 2
    assert capsys.readouterr().err.startswith("error: data.prepared: not set")
    assert prepare_here(*words("nyudv2", roots, "data.prepare=x")) == 2
    assert "did you mean 'prepared'?" in capsys.readouterr().err
    assert prepare_here(*words("nyudv2", roots, "data.prepared=''")) == 2
    assert "data.prepared: " in capsys.readouterr().err

    def read_row(reader, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "read_row", read_row)
    assert prepare_here(*words("nyudv2", roots, prepared=roots / "prepared")) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err
