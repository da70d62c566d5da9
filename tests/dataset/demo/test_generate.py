"""Generating demo datasets: the same files from the same seed, all or nothing, never over somebody else's files."""

import hashlib
import json
from pathlib import Path

import cv2
import pytest

from dataset.demo import writers
from dataset.demo.__main__ import main
from dataset.demo.generate import MANIFEST, generate
from utils.errors import UserError

TINY = {"scenes": 3, "size": (32, 24)}
WORDS = ["--scenes", "2", "--size", "32x24"]


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("layout", ["nyudv2", "cityscapes", "synthia", "vkitti2"])
def test_the_same_seed_gives_the_same_files(tmp_path, layout):
    first = generate(tmp_path / "a", (layout,), **TINY, truth=True)[layout]
    again = generate(tmp_path / "b", (layout,), **TINY, truth=True)[layout]
    other = generate(tmp_path / "c", (layout,), **TINY, truth=True, seed=1)[layout]
    assert digests(first) == digests(again)
    assert digests(first).keys() == digests(other).keys()
    assert digests(first) != digests(other)


def test_worker_processes_change_nothing(tmp_path):
    alone = generate(tmp_path / "a", ("nyudv2",), **TINY)["nyudv2"]
    shared = generate(tmp_path / "b", ("nyudv2",), **TINY, workers=2)["nyudv2"]
    assert digests(alone) == digests(shared)


def test_a_fifth_of_the_scenes_is_for_validation(tmp_path):
    root = generate(tmp_path, ("nyudv2",), scenes=11, size=(16, 16))["nyudv2"]
    assert len((root / "gt_sets" / "val.txt").read_text().split()) == 2
    assert len((root / "gt_sets" / "train.txt").read_text().split()) == 9


def test_size_is_a_quarter_of_the_real_one_by_default(tmp_path):
    root = generate(tmp_path, ("nyudv2",), scenes=1)["nyudv2"]
    assert cv2.imread(str(next((root / "images").iterdir()))).shape == (120, 160, 3)


def test_an_earlier_demo_world_is_replaced_whole(tmp_path):
    generate(tmp_path, ("nyudv2", "vkitti2"), **TINY)
    before = digests(tmp_path / "vkitti2")
    root = generate(tmp_path, ("nyudv2",), scenes=1, size=(32, 24))["nyudv2"]
    assert len(list((root / "images").iterdir())) == 1
    assert digests(tmp_path / "vkitti2") == before
    assert json.loads((tmp_path / MANIFEST).read_text()).keys() == {"nyudv2", "vkitti2"}
    assert {path.name for path in tmp_path.iterdir()} == {"nyudv2", "vkitti2", MANIFEST}


def test_somebody_elses_files_are_left_alone(tmp_path):
    (tmp_path / "nyudv2").mkdir()
    precious = tmp_path / "nyudv2" / "precious.txt"
    precious.write_text("real data")
    with pytest.raises(UserError, match="nyudv2: is not empty and was not written by the demo generator"):
        generate(tmp_path, ("vkitti2", "nyudv2"), **TINY)
    assert precious.read_text() == "real data"
    assert [path.name for path in tmp_path.iterdir()] == ["nyudv2"]  # nothing was begun


def test_an_empty_folder_is_fine(tmp_path):
    (tmp_path / "nyudv2").mkdir()
    assert (generate(tmp_path, ("nyudv2",), **TINY)["nyudv2"] / "images").is_dir()


def test_an_interrupted_run_leaves_the_earlier_world(tmp_path, monkeypatch):
    root = generate(tmp_path, ("nyudv2",), **TINY)["nyudv2"]
    before = digests(root)

    def interrupted(staging: Path, *_: object, **__: object) -> None:
        (staging / "half.png").write_text("half")
        raise KeyboardInterrupt

    stopped = writers.Format(interrupted, writers.FORMATS["nyudv2"].camera, "NYUDV2_DIR")
    monkeypatch.setitem(writers.FORMATS, "nyudv2", stopped)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, ("nyudv2",), **TINY)
    assert digests(root) == before
    assert {path.name for path in tmp_path.iterdir()} == {"nyudv2", MANIFEST}
    assert main([str(tmp_path), "--layout", "nyudv2", *WORDS]) == 130


def test_settings_out_of_range_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="demo world: frames: must be 1..10 per scene, got 50"):
        generate(tmp_path, ("nyudv2",), **TINY, frames_per_scene=50)


def test_a_broken_manifest_is_named(tmp_path):
    (tmp_path / "nyudv2").mkdir()
    (tmp_path / "nyudv2" / "file").touch()
    (tmp_path / MANIFEST).write_text("[not json")
    with pytest.raises(UserError, match=f"{MANIFEST}: is not the manifest of a demo world"):
        generate(tmp_path, ("nyudv2",), **TINY)


def test_command_line_says_what_it_wrote_and_how_to_use_it(tmp_path, capsys):
    assert main([str(tmp_path), *WORDS, "--frames", "2", "--style", "target"]) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert "2 scenes with 4 annotated frames" in line
    for name, variable in (
        ("nyudv2", "NYUDV2_DIR"),
        ("cityscapes", "CITYSCAPES_DIR"),
        ("synthia", "SYNTHIA_DIR"),
        ("vkitti2", "VKITTI2_DIR"),
    ):
        assert f"{variable}={tmp_path / name}" in line
        assert (tmp_path / name).is_dir()


def test_command_line_shows_the_users_mistake_without_a_traceback(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file"), "--layout", "nyudv2", *WORDS]) == 2
    error = capsys.readouterr().err.strip()
    assert error.splitlines()[-1].startswith(f"error: demo world: cannot write to {tmp_path / 'file'}")
    assert "Traceback" not in error


@pytest.mark.parametrize("size", ["160", "160x", "0.5x3", "-1x20"])
def test_command_line_explains_sizes(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["out", f"--size={size}"])
    assert stop.value.code == 2
    assert f"'{size}' is not a size: write WIDTHxHEIGHT, for example 160x120" in capsys.readouterr().err
