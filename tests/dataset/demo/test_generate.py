"""Generating demo datasets: the same files from the same seed, all or nothing, never over somebody else's files."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from dataset.demo.__main__ import main
from dataset.demo.formats import FORMATS, NYUDv2
from dataset.demo.generate import MANIFEST, generate
from dataset.demo.world import World
from utils.errors import UserError

TINY = World(scenes=2, size=(32, 24), truth=True)
WRONG = {"scenes": 0, "val_scenes": 10, "frames": 11, "size": (64, 8), "style": "noir", "seed": -1}
WORDS = ["--scenes", "2", "--size", "32x24"]


def digests(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("layout", FORMATS)
def test_the_same_seed_gives_the_same_files_by_however_many_processes(tmp_path, layout):
    first = digests(generate(tmp_path / "a", (layout,), TINY)[layout])
    assert first == digests(generate(tmp_path / "b", (layout,), TINY, workers=2)[layout])
    other = digests(generate(tmp_path / "c", (layout,), replace(TINY, seed=1))[layout])
    assert first.keys() == other.keys() and first != other


def test_by_default_a_fifth_is_for_validation_and_sizes_are_a_quarter(tmp_path):
    root = generate(tmp_path, ("nyudv2",), World(scenes=11))["nyudv2"]
    assert [len((root / "gt_sets" / f"{split}.txt").read_text().split()) for split in ("train", "val")] == [9, 2]
    assert cv2.imread(str(next((root / "images").iterdir()))).shape == (120, 160, 3)
    assert not (root / "truth").exists()


def test_an_earlier_demo_world_is_replaced_whole(tmp_path):
    (tmp_path / "nyudv2").mkdir()  # an empty folder is fine
    generate(tmp_path, ("nyudv2", "vkitti2"), TINY)
    before = digests(tmp_path / "vkitti2")
    root = generate(tmp_path, ("nyudv2",), replace(TINY, scenes=1, val_scenes=0))["nyudv2"]
    assert len(list((root / "images").iterdir())) == 1
    assert digests(tmp_path / "vkitti2") == before
    assert json.loads((tmp_path / MANIFEST).read_text()).keys() == {"nyudv2", "vkitti2"}
    assert {path.name for path in tmp_path.iterdir()} == {"nyudv2", "vkitti2", MANIFEST}


def test_somebody_elses_files_are_left_alone(tmp_path):
    (tmp_path / "nyudv2").mkdir()
    (tmp_path / "nyudv2" / "precious.txt").write_text("real data")
    with pytest.raises(UserError, match="nyudv2: is not empty"):
        generate(tmp_path, ("vkitti2", "nyudv2"), TINY)
    with pytest.raises(UserError, match="cannot write to .*precious"):
        generate(tmp_path / "nyudv2" / "precious.txt", ("nyudv2",), TINY)
    assert [path.name for path in tmp_path.rglob("*")] == ["nyudv2", "precious.txt"]  # nothing was begun
    (tmp_path / MANIFEST).write_text("[not json")
    with pytest.raises(UserError, match=f"{MANIFEST}: is not the manifest"):
        generate(tmp_path, ("nyudv2",), TINY)


def test_an_interrupted_run_leaves_the_earlier_world(tmp_path, monkeypatch):
    before = digests(generate(tmp_path, ("nyudv2",), TINY)["nyudv2"])

    class Interrupted(NYUDv2):
        def write_scene(self, root, world, number):
            (root / "half.png").write_text("half")
            raise KeyboardInterrupt

    monkeypatch.setitem(FORMATS, "nyudv2", Interrupted())
    assert main([str(tmp_path), "--layout", "nyudv2", *WORDS]) == 130
    assert digests(tmp_path / "nyudv2") == before
    assert {path.name for path in tmp_path.iterdir()} == {"nyudv2", MANIFEST}


@pytest.mark.parametrize(("key", "value"), WRONG.items())
def test_settings_out_of_range(key, value):
    with pytest.raises(UserError, match=f"{key}: must be .*, got "):
        World(**{key: value})


def test_command_line_says_what_it_wrote_and_how_to_use_it(tmp_path, capsys):
    assert main([str(tmp_path), *WORDS, "--frames", "2", "--style", "target"]) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert "2 scenes with 4 annotated frames" in line
    for name in FORMATS:
        assert f"{name.upper()}_DIR={tmp_path / name}" in line and (tmp_path / name).is_dir()


@pytest.mark.parametrize("size", ["160", "0.5x3", "-1x20"])
def test_command_line_explains_sizes(size, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["out", f"--size={size}"])
    assert f"'{size}' is not a size" in capsys.readouterr().err
