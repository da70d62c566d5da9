"""Preparing: what is written when, and that whatever stops it, it goes on and never takes what is not whole."""

import errno
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest

from dataset.prepare import run, staging
from dataset.prepare.run import prepare
from dataset.prepare.store import NotPrepared, Store
from tests.helpers.dataset_files import write_cityscapes, write_nyudv2, write_synthia
from tests.helpers.prepared import NAMES, assert_same, assert_same_samples, experiment, open_all, words
from tests.helpers.runs import ROOT, files_below
from utils.errors import UserError

ARRAY_OF = {"images": "frames", "segmentation": "semseg", "depth": "depth", "normals": "normals", "edge": "edges"}
N_ROWS = 3 * 5  # images of NYUDv2 times image, labels, depth, normals and edges


@pytest.fixture
def roots(tmp_path):
    write_nyudv2(tmp_path / "nyudv2")
    return tmp_path


@pytest.fixture
def prepared(roots):
    return experiment("nyudv2", roots, "training.n_workers=1", prepared=roots / "prepared")


@pytest.fixture
def plain(roots):
    return experiment("nyudv2", roots)


@pytest.fixture
def read(monkeypatch):
    """The files that are read from now on, in order."""
    files = []
    original = run.read_row

    def read_row(reader, row):
        files.append(row.files[0])
        return original(reader, row)

    monkeypatch.setattr(run, "read_row", read_row)
    return files


@pytest.fixture
def stopped(prepared, monkeypatch):
    """A run that fails at its eighth file; the files it read until then."""
    done = []
    original = run.read_row

    def read_row(reader, row):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(row.files[0])
        return original(reader, row)

    with monkeypatch.context() as patch:
        patch.setattr(run, "read_row", read_row)
        with pytest.raises(KeyboardInterrupt):
            prepare(prepared)
    return done


def partial(roots: Path) -> Path:
    return roots / "prepared" / "nyudv2_32x32" / staging.PARTIAL


def parts(roots: Path) -> list[str]:
    return sorted(path.name for path in roots.glob("prepared/*/part-*"))


def test_every_file_is_read_once(roots, prepared, plain, read):
    prepare(prepared)
    assert len(read) == len(set(read)) == N_ROWS
    assert sorted(path.name for path in roots.glob("prepared/nyudv2_32x32/part-0001/*")) == [
        "depth.npy", "edges.npy", "frames.npy", "manifest.json", "normals.npy", "normals_mask.npy", "semseg.npy",
    ]  # fmt: skip
    assert_same_samples(prepared, plain)


def test_what_is_up_to_date_is_left_alone(roots, prepared, read, caplog):
    prepare(prepared)
    before = files_below(roots / "prepared")
    read.clear()
    with caplog.at_level(logging.INFO):
        prepare(prepared)
    assert read == [] and files_below(roots / "prepared") == before
    assert f"nothing to do: all {N_ROWS} files are prepared" in caplog.text


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("edge/0001.png", ["edge/0001.png"]),
        ("images/0001.png", ["images/0001.png", *(f"{map_}/0001.png" for map_ in ("segmentation", "normals", "edge"))]),
    ],
)
def test_a_file_that_changed_and_what_must_fit_it_are_all_that_is_read_again(
    roots, prepared, plain, read, file, expected
):
    prepare(prepared)
    read.clear()
    shutil.copy(roots / "nyudv2" / file.replace("1", "3"), roots / "nyudv2" / file)
    prepare(prepared)
    assert [name for name in read if name != "depth/0001.npy"] == expected
    assert parts(roots) == ["part-0001", "part-0002"]
    assert_same_samples(prepared, plain)


def test_a_part_is_removed_once_all_its_files_have_changed(roots, prepared, plain):
    prepare(prepared)
    for path in (roots / "nyudv2").rglob("*"):
        os.utime(path)
    prepare(prepared)
    assert parts(roots) == ["part-0002"]
    assert_same_samples(prepared, plain)


def test_a_part_that_a_run_has_open_is_kept_until_that_is_over(roots, prepared):
    prepare(prepared)
    training = open_all(prepared)[0]
    expected = training[0, 0]
    for path in (roots / "nyudv2").rglob("*"):
        os.utime(path)
    prepare(prepared)
    assert parts(roots) == ["part-0001", "part-0002"]
    assert_same(pickle.loads(pickle.dumps(training))[0, 0], expected)  # as in a worker that is not forked
    del training
    prepare(prepared)
    assert parts(roots) == ["part-0002"]


def test_a_part_that_cannot_be_removed_is_reported_and_in_nobodys_way(roots, prepared, plain, monkeypatch, caplog):
    prepare(prepared)
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)  # as of a file of somebody else
    for count in (1, 2):
        for path in (roots / "nyudv2").rglob("*"):
            os.utime(path)
        caplog.clear()
        prepare(prepared)
        assert caplog.text.count("no longer needed, but cannot be removed; remove it yourself") == count
        assert len(parts(roots)) == 1
    assert_same_samples(prepared, plain)


# --- stopped ---


def test_a_killed_run_goes_on_where_it_was(roots, prepared, plain, read):
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(ROOT)!r}]
from dataset.prepare import run
from dataset.prepare.__main__ import main
original, count = run.read_row, 0
def read_row(reader, row):
    global count
    count += 1
    if count == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(reader, row)
run.read_row = read_row
main({words("nyudv2", roots, "training.n_workers=1", prepared=roots / "prepared")!r})
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert parts(roots) == [] and partial(roots).is_dir()
    with pytest.raises(NotPrepared):
        open_all(prepared)
    prepare(prepared)  # the lock is gone with the process
    assert len(read) == N_ROWS - 7
    assert not partial(roots).exists()
    assert_same_samples(prepared, plain)


def test_what_is_not_whole_is_read_again(roots, prepared, plain, stopped, read):
    """As after a power cut: a page that never reached the disk, a line cut off, noise at the end of the journal."""
    journal = partial(roots) / staging.JOURNAL
    header, *lines = journal.read_bytes().splitlines()
    assert [json.loads(line)[3][0] for line in lines] == stopped
    lines[3] = lines[3][:40]
    journal.write_bytes(b"\n".join([header, *lines]) + b"\n" + b"\0\xff" * 40)
    with open(partial(roots) / "frames.npy", "r+b") as file:
        file.seek(32 * 32 * 3 - 1, os.SEEK_CUR)  # in the first of three frames
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    prepare(prepared)
    whole = {file for file in stopped if file not in (stopped[0], stopped[3])}
    assert stopped[0] == "images/0001.png" and len(whole) == 5
    assert whole.isdisjoint(read) and len(read) == N_ROWS - 5
    assert_same_samples(prepared, plain)


def test_what_a_stopped_run_had_finished_takes_no_more_room_than_it_needs(roots, prepared, plain, stopped):
    assert len(stopped) == 7
    prepare(prepared)
    first, second = (roots / "prepared" / "nyudv2_32x32" / part for part in parts(roots))
    rows = {path.stem: (len(np.load(path)), len(np.load(second / path.name))) for path in first.glob("*.npy")}
    counts = Counter(ARRAY_OF[file.partition("/")[0]] for file in stopped)
    assert {name: first for name, (first, _) in rows.items() if name != "normals_mask"} == counts
    assert all(sum(lengths) == 3 for lengths in rows.values())
    for path in first.glob("*.npy"):
        assert path.stat().st_size == 128 + np.load(path).nbytes
    assert_same_samples(prepared, plain)


@pytest.mark.parametrize("name", [staging.JOURNAL, "frames.npy"])
def test_a_lost_file_is_written_again(roots, prepared, plain, stopped, name):
    (partial(roots) / name).unlink()
    prepare(prepared)
    assert_same_samples(prepared, plain)


def test_another_experiment_takes_over_what_fits_it(roots, stopped, read):
    """Two of the three images and one of the three depth maps were finished."""
    other = experiment("depth only", roots, prepared=roots / "prepared")
    prepare(other)
    assert sorted(read) == ["depth/0002.npy", "depth/0003.npy", "images/0003.png"]
    assert_same_samples(other, experiment("depth only", roots))


def test_a_stop_before_the_last_part_is_complete_leaves_the_first_ones(tmp_path):
    """Source and target of an adaptation are parts of their own."""
    write_synthia(tmp_path / "synthia")
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    (tmp_path / "cityscapes" / "leftImg8bit" / f"{NAMES[2]}_leftImg8bit.png").write_bytes(b"no image")
    prepared = experiment("adaptation", tmp_path, prepared=tmp_path / "prepared")
    with pytest.raises(UserError, match=r"ulm_000000_000019_leftImg8bit.png: truncated or corrupt"):
        prepare(prepared)
    assert [path.parent.name for path in tmp_path.glob("prepared/*/part-0001")] == ["synthia_32x32"]


# --- what cannot be done ---


def test_two_at_once(prepared, read):
    store = Store(Path(prepared.config.data.source.prepared), dataset="nyudv2", width=32, height=32)
    with store.locked():
        with pytest.raises(UserError, match=r"nyudv2_32x32: another `python -m dataset.prepare` is writing there"):
            prepare(prepared)
        assert read == []
    prepare(prepared)
    assert len(read) == N_ROWS


def test_a_file_that_changes_while_it_is_read(roots, prepared, plain, monkeypatch):
    original = run.read_row

    def read_row(reader, row):
        arrays = original(reader, row)
        if row.files[0] == "depth/0002.npy":
            os.utime(roots / "nyudv2" / row.files[0])
        return arrays

    with monkeypatch.context() as patch:
        patch.setattr(run, "read_row", read_row)
        with pytest.raises(UserError, match=r"depth/0002.npy: was changed while it was prepared"):
            prepare(prepared)
    assert parts(roots) == []
    prepare(prepared)
    assert_same_samples(prepared, plain)


def test_a_file_that_changes_after_it_was_read(roots, prepared, plain, monkeypatch):
    original = run.read_row

    def read_row(reader, row):
        os.utime(roots / "nyudv2" / "images" / "0001.png")  # the first that is read
        return original(reader, row)

    with monkeypatch.context() as patch:
        patch.setattr(run, "read_row", read_row)
        with pytest.raises(UserError, match=r"images/0001.png: was changed while it was prepared"):
            prepare(prepared)
    prepare(prepared)
    assert_same_samples(prepared, plain)


def test_a_truncated_file_is_named_and_the_rest_is_kept(roots, prepared, plain, read):
    path = roots / "nyudv2" / "segmentation" / "0002.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(UserError, match=r"segmentation/0002.png: truncated or corrupt .* needed for sample 0002"):
        prepare(prepared)
    finished = len(read) - 1
    path.write_bytes(whole)
    read.clear()
    prepare(prepared)
    assert len(read) == N_ROWS - finished < N_ROWS
    assert_same_samples(prepared, plain)


def test_a_full_disk(roots, prepared, plain, monkeypatch):
    original, written = os.pwrite, []

    def pwrite(file, data, position):
        written.append(position)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(file, data[:1000], position)  # the system may write less than it is given

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(
            UserError, match=r"prepared/nyudv2_32x32/\S+: cannot be written \(No space left on device\)"
        ):
            prepare(prepared)
    prepare(prepared)
    assert_same_samples(prepared, plain)


def test_too_little_room_shows_before_anything_is_read(prepared, monkeypatch, read):
    usage = namedtuple("usage", "free")
    # 3 images of 1024 pixels: 3 bytes colour, 1 label, 4 depth, 12 + 1 normals, 1 edge
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(3 * 1024 * 22 - 1))
    with pytest.raises(UserError, match=r"67.6 kB are needed and 67.6 kB free; make room, or .* data.prepared"):
        prepare(prepared)
    assert read == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(3 * 1024 * 22))
    prepare(prepared)


def test_a_folder_that_cannot_be_made(roots):
    (roots / "file").write_text("")
    with pytest.raises(UserError, match=r"file/nyudv2_32x32: cannot be created .* data.prepared"):
        prepare(experiment("nyudv2", roots, prepared=roots / "file"))


def test_no_folder_given(roots):
    with pytest.raises(UserError, match=r"data.prepared: not set; .* --set data.prepared=FOLDER"):
        prepare(experiment("nyudv2", roots))
