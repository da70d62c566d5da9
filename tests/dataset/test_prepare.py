"""Prepared data: samples equal to those of the files, arrays written once, and refused when they no longer fit."""

import errno
import os
import pickle
import shlex
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.files import DatasetFiles
from dataset.loader import train_loader
from dataset.prepare.run import prepare
from dataset.prepare.store import NotPrepared
from tests.helpers.dataset_files import write_camera, write_cityscapes, write_datasets, write_nyudv2
from tests.helpers.prepared import AUGMENTED, NAMES, assert_same, assert_same_samples, experiment, open_all, words
from tests.helpers.runs import files_below, prepare_here
from utils.errors import UserError

POSE = "setup.model.pose_kwargs={provide_uncropped_for_pose: true}"
ALL_FRAMES = {"only_sequences_with_segmentation": False, "frame_ids": "[0, -1]", "num_scales": 4}
SUBSET = "{mode: fixed, subset: [1]}"
TRAIN = NAMES[0]
IMAGE = f"cityscapes/leftImg8bit/{TRAIN}_leftImg8bit.png"
LABELS = f"cityscapes/gtFine/{TRAIN}_gtFine_labelIds.png"
CAMERA = f"cityscapes/camera/{TRAIN}_camera.json"


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_datasets(tmp_path_factory.mktemp("datasets"), streets=NAMES)


@pytest.fixture
def read(monkeypatch):
    """The files that are decoded from now on, in order."""
    files, original = [], DatasetFiles.read

    def spied(self, items, **size):
        files.extend(item.files[0].relative_to(self.root).as_posix() for item in items.values())
        return original(self, items, **size)

    monkeypatch.setattr(DatasetFiles, "read", spied)
    return files


@pytest.mark.parametrize(
    ("name", "overrides", "options", "count"),
    [
        ("fs", (), {"size": (48, 32)}, 4),
        ("synthia", (), {}, 10),
        ("vkitti2", (), {}, 10),
        ("nyudv2", (), {}, 3),
        ("depth only", (), {}, 3),
        ("video", (POSE,), {}, 4),
        ("video", (), ALL_FRAMES, 7),  # two of three frames have one before them
        ("video", (), ALL_FRAMES | {"load_unlabeled": False}, 4),
        ("fs", (), {"restrict_to_subset": SUBSET}, 4),
        ("adaptation", (), {}, 10 + 3 + 1),
        ("adaptation", ("training.da.doda=false",), {}, 10 + 1),
    ],
)
def test_samples_equal_those_of_the_files(roots, tmp_path, name, overrides, options, count):
    options = AUGMENTED | options
    prepared = experiment(name, roots, *overrides, prepared=tmp_path, **options)
    prepare(prepared)
    assert assert_same_samples(prepared, experiment(name, roots, *overrides, **options)) == count


def test_special_values_small_images_and_missing_cameras(tmp_path):
    write_nyudv2(tmp_path / "nyudv2", arrays=True)  # zeros, infinities and numbers that are none
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    write_cityscapes(tmp_path / "cityscapes", names=NAMES, size=(32, 16), image_folder="leftImg8bit_small", maps=False)
    shutil.rmtree(tmp_path / "cityscapes" / "camera")
    for name in ("nyudv2", "semseg"):
        prepared, plain = (experiment(name, tmp_path, prepared=p, size=(32, 16)) for p in (tmp_path / "p", None))
        prepare(prepared)
        assert_same_samples(prepared, plain)
    assert not list(tmp_path.glob("p/*/image/leftImg8bit"))  # the small ones are read


@pytest.mark.parametrize(
    ("name", "overrides", "changes"),
    [
        ("synthia", (), {"dataset_seed": 1}),
        ("vkitti2", (), {"split_by": "scene"}),
        ("fs", (), {"restrict_to_subset": "{mode: random, n_subset: 1}"}),
        ("fs", (), {"restrict_to_subset": SUBSET, "load_unlabeled": False}),
        ("fs", (), {"load_semantic_gt": False}),
        ("fs", (), {"num_val_samples": 1, "val_split": "train"}),
        ("fs", (), AUGMENTED),
        ("fs", ("data.n_classes=19", "setup.model.tasks.semseg.kwargs.num_out_ch=19"), {}),
        ("nyudv2", (), {"crop_w": 16, "crop_h": 32, "crop_center": True}),
    ],
)
def test_other_options_need_no_new_preparation(roots, tmp_path, name, overrides, changes):
    prepare(experiment(name, roots, prepared=tmp_path))
    before = files_below(tmp_path)
    changed = experiment(name, roots, *overrides, prepared=tmp_path, **changes)
    assert_same_samples(changed, experiment(name, roots, *overrides, **changes))
    prepare(changed)
    assert files_below(tmp_path) == before


def test_experiments_share_a_folder_and_add_what_is_missing(roots, tmp_path, read):
    choices = [("depth only", {}), ("nyudv2", {}), ("nyudv2", {"size": (48, 32)}), ("fs", {}), ("adaptation", {})]
    choices.append(("video", {"only_sequences_with_segmentation": False}))
    counts = []
    for name, options in choices:
        read.clear()
        prepare(experiment(name, roots, prepared=tmp_path, **options))
        assert len(read) == len(set(read))
        counts.append(len(read))
    # Of each image of NYUDv2: image and depth; labels, normals and edges; all five; of 4 streets image, labels, depth;
    # nothing but the 10 of SYNTHIA; every frame of three videos once, and the labels, which now must fit those.
    assert counts == [3 * 2, 3 * 3, 3 * 5, 4 * 3, 10 * 3, 3 * 3 + 3]
    for name, options in choices:
        assert_same_samples(experiment(name, roots, prepared=tmp_path, **options), experiment(name, roots, **options))


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_are_copies_in_any_process(roots, tmp_path, workers):
    prepared = experiment("nyudv2", roots, prepared=tmp_path)
    prepare(prepared)
    dataset = pickle.loads(pickle.dumps(open_all(prepared)[0]))
    stored = {path: path.read_bytes() for path in tmp_path.rglob("*.npy")}
    batch, expected = (next(iter(train_loader(dataset, batch_size=2, workers=n, seed=5))) for n in (workers, 0))
    assert_same(batch, expected)
    for value in dataset[0].values():
        if torch.is_tensor(value):
            value.zero_()
    assert_same(next(iter(train_loader(dataset, batch_size=2, workers=0, seed=5))), expected)
    assert {path: path.read_bytes() for path in stored} == stored
    assert all(np.load(path).size for path in stored)  # plain .npy files


# --- interrupted, at once, and what cannot be done ---


@pytest.fixture
def nyu(tmp_path):
    write_nyudv2(tmp_path / "nyudv2")
    return tmp_path


def of_nyu(root: Path, *overrides: str, **options):
    return experiment("nyudv2", root, *overrides, prepared=root / "prepared", **options)


def goes_on(root: Path, read: list[str]) -> None:
    """Preparing reads exactly what is not there yet, and what is there is whole."""
    done = len(list(root.glob("prepared/**/*.npy")))
    read.clear()
    prepare(of_nyu(root))
    assert len(read) == 15 - done < 15
    assert_same_samples(of_nyu(root), experiment("nyudv2", root))
    assert len(files_below(root / "prepared")) == 15


def failing_at(call: int, error: BaseException):
    calls = iter(range(99))

    def fail(descriptor):
        if next(calls) >= call:
            raise error

    return fail


def test_a_stopped_run_goes_on_where_it_was(nyu, read, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(7, KeyboardInterrupt()))  # while the eighth file is being written
        assert prepare_here(*words("nyudv2", nyu, "training.n_workers=1", prepared=nyu / "prepared")) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err
    with pytest.raises(NotPrepared):
        open_all(of_nyu(nyu))
    goes_on(nyu, read)


def test_a_full_disk(nyu, read, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(5, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        with pytest.raises(UserError, match=r"nyudv2_32x32/\S+: cannot be written \(No space left on device\)"):
            prepare(of_nyu(nyu))
    goes_on(nyu, read)


def test_too_little_room_shows_before_anything_is_read(nyu, read, monkeypatch):
    # 3 images of 1024 pixels: 3 bytes colour, 1 label, 4 depth, 12 normals, 1 edge, in 5 files with 128 bytes of header
    needed = 3 * (1024 * 21 + 5 * 128)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: namedtuple("usage", "free")(needed - 1))
    with pytest.raises(UserError, match=r"needed and .* free; .* data.prepared"):
        prepare(of_nyu(nyu))
    assert read == [] and not (nyu / "prepared").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: namedtuple("usage", "free")(needed))
    prepare(of_nyu(nyu))


def test_several_may_write_at_once(nyu):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(prepare, [of_nyu(nyu)] * 3))
    assert_same_samples(of_nyu(nyu), experiment("nyudv2", nyu))
    assert len(files_below(nyu / "prepared")) == 15


def test_damaged_and_changing_files_are_named_and_the_rest_is_kept(nyu, read, monkeypatch):
    path = nyu / "nyudv2" / "segmentation" / "0002.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(UserError, match=r"segmentation/0002.png: truncated or corrupt .* sample 0002"):
        prepare(of_nyu(nyu, "training.n_workers=1"))
    path.write_bytes(whole)
    spied = DatasetFiles.read

    def touching(self, items, **size):
        os.utime(path)
        return spied(self, items, **size)

    with monkeypatch.context() as patch:
        patch.setattr(DatasetFiles, "read", touching)
        with pytest.raises(UserError, match=r"segmentation/0002.png: was changed while"):
            prepare(of_nyu(nyu, "training.n_workers=1"))
    goes_on(nyu, read)


def test_a_folder_that_cannot_be_made_or_is_not_given(nyu):
    (nyu / "file").write_text("")
    with pytest.raises(UserError, match=r"file/nyudv2_32x32/\S+: cannot be created .* data.prepared"):
        prepare(experiment("nyudv2", nyu, prepared=nyu / "file"))
    with pytest.raises(UserError, match=r"data.prepared: not set"):
        prepare(experiment("nyudv2", nyu))


# --- refused ---


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The datasets of an adaptation, and what is prepared of them."""
    root = write_datasets(tmp_path_factory.mktemp("finished"), streets=NAMES)
    for name in ("fs", "adaptation"):
        prepare(experiment(name, root, prepared=root / "prepared"))
    return root


@pytest.fixture
def copy(finished, tmp_path):
    """A copy to be changed, times included: datasets may be moved."""
    root = shutil.copytree(finished, tmp_path / "copy", copy_function=shutil.copy2)
    assert_same_samples(experiment("fs", root, prepared=root / "prepared"), experiment("fs", root), epochs=1)
    return root


def of_another_size(root):
    before = (root / CAMERA).stat()
    write_camera(root / CAMERA, fx=1234.56)
    os.utime(root / CAMERA, ns=(before.st_atime_ns, before.st_mtime_ns))


def with_another_image(root):
    write_cityscapes(root / "other", names=("train/ulm/ulm_000009_000019",))
    shutil.copytree(root / "other", root / "cityscapes", dirs_exist_ok=True)


def without_a_camera(root):
    (root / CAMERA).rename(root / "camera.json")


def with_small_images(root):
    small = root / IMAGE.replace("leftImg8bit/", "leftImg8bit_small/", 1)
    small.parent.mkdir(parents=True)
    shutil.copy2(root / IMAGE, small)


def another_folder(root):
    shutil.rmtree(root / "cityscapes")
    write_cityscapes(root / "cityscapes", names=NAMES)


def one_array(root) -> Path:
    return next(root.glob(f"prepared/cityscapes_32x32/depth/**/{Path(TRAIN).name}*.npy"))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda root: os.utime(root / IMAGE), {}, f"data.prepared: .* lacks 3 of 9 .*{IMAGE}"),  # maps fit the image
        (lambda root: os.utime(root / LABELS), {}, f"data.prepared: .* lacks 1 of 9 .*{LABELS}"),
        (lambda root: os.utime(root / CAMERA), {}, "data.prepared: .* lacks 1 of 9 .*_disparity.png"),
        (of_another_size, {}, "lacks 1 of 9 .*_disparity.png"),
        (with_another_image, {}, "lacks 3 of 12 .*ulm_000009_000019_leftImg8bit.png"),
        (with_small_images, {"num_val_samples": 1}, "leftImg8bit_small"),
        (another_folder, {}, "lacks 9 of 9"),
        (lambda root: shutil.rmtree(root / "prepared"), {}, "lacks 9 of 9"),
        (lambda root: one_array(root).unlink(), {}, "lacks 1 of 9 .*_disparity.png"),
        (lambda root: os.truncate(one_array(root), 300), {}, "lacks 1 of 9 .*_disparity.png"),
        (lambda root: None, {"size": (48, 32)}, "cityscapes_48x32 lacks 9 of 9"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_command_that_mends_it(copy, change, options, message):
    change(copy)
    prepared = experiment("fs", copy, prepared=copy / "prepared", **options)
    with pytest.raises(NotPrepared, match=message) as caught:
        open_all(prepared)
    command = shlex.split(str(caught.value).partition("renew it:\n")[2])
    assert command[:3] == ["python", "-m", "dataset.prepare"] and prepare_here(*command[3:]) == 0
    assert_same_samples(prepared, experiment("fs", copy, **options), epochs=1)


def test_the_target_of_an_adaptation_is_refused_by_its_key(copy):
    os.utime(copy / IMAGE)
    with pytest.raises(NotPrepared, match=r"^data.target.prepared: \S+/cityscapes_32x32 lacks 1 of"):
        open_all(experiment("adaptation", copy, prepared=copy / "prepared"))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_array_that_is_damaged_names_itself(copy, workers):
    path = one_array(copy)
    path.write_bytes(bytes(path.stat().st_size))
    dataset = open_all(experiment("fs", copy, prepared=copy / "prepared"))[0]
    with pytest.raises(UserError, match=rf"^{path}: missing or damaged .*dataset.prepare"):
        list(zip(range(3), train_loader(dataset, batch_size=1, workers=workers, seed=0), strict=False))


# --- the command line ---


def test_the_command_says_what_it_wrote_and_how_to_use_it(nyu, capsys):
    line = words("nyudv2", nyu, prepared=nyu / "prepared")
    for said in ("wrote 3 image, 3 semseg, 3 depth, 3 normals, 3 edges", "nothing to do: all 15 arrays"):
        assert prepare_here(*line) == 0
        out = capsys.readouterr().out
        assert said in out and str(nyu / "prepared" / "nyudv2_32x32") in out
        used = shlex.split(out.splitlines()[-1].removeprefix("use it: "))
        assert used[:2] == ["python", "main.py"] and sorted(used[2:]) == sorted(line)


def test_the_target_of_an_adaptation_alone_as_its_evaluation_asks_for(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    overrides = ("data.source.path=$ENV:NOWHERE", f"data.target.prepared={tmp_path}/prepared")
    assert prepare_here(*words("adaptation", tmp_path, *overrides)) == 0
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["cityscapes_32x32"]
    overrides += (f"data.source.prepared={tmp_path}/prepared",)
    assert prepare_here(*words("adaptation", tmp_path, *overrides)) == 2
    assert "data.source.path" in capsys.readouterr().err
