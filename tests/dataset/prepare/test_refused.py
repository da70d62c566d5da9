"""Prepared data that is missing, stale, damaged or of something else is refused, with the command that mends it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.prepare.run import prepare
from dataset.prepare.store import NotPrepared
from tests.helpers.dataset_files import write_camera, write_cityscapes, write_nyudv2, write_synthia
from tests.helpers.prepared import NAMES, assert_same_samples, experiment, open_all
from tests.helpers.runs import prepare_here
from utils.errors import UserError

TRAIN = NAMES[0]
IMAGE = f"leftImg8bit/{TRAIN}_leftImg8bit.png"
LABELS = f"gtFine/{TRAIN}_gtFine_labelIds.png"
DISPARITY = f"disparity/{TRAIN}_disparity.png"
CAMERA = f"camera/{TRAIN}_camera.json"
PART = "prepared/cityscapes_32x32/part-0001"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A Cityscapes folder and what is prepared of it."""
    root = tmp_path_factory.mktemp("finished")
    write_cityscapes(root / "cityscapes", names=NAMES)
    prepare(experiment("fs", root, prepared=root / "prepared"))
    return root


@pytest.fixture
def root(finished, tmp_path):
    """A copy to be changed, times included."""
    shutil.copytree(finished, tmp_path / "copy", copy_function=shutil.copy2)
    return tmp_path / "copy"


def refused(root: Path, name: str = "fs", *overrides: str, **options) -> str:
    """Why the data is refused; the command of the message makes it equal to the files again."""
    prepared = experiment(name, root, *overrides, prepared=root / "prepared", **options)
    with pytest.raises(NotPrepared) as caught:
        open_all(prepared)
    message, command = str(caught.value).split("; renew it:\n  ")
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "dataset.prepare"] and prepare_here(*words[3:]) == 0
    assert_same_samples(prepared, experiment(name, root, *overrides, **options), epochs=1)
    return message


def test_a_copy_with_the_times_of_its_files_is_taken(root):
    """A dataset may be moved, and so may what is prepared of it."""
    prepared = experiment("fs", root, prepared=root / "prepared")
    assert_same_samples(prepared, experiment("fs", root), epochs=1)


@pytest.mark.parametrize(("file", "count"), [(IMAGE, 3), (LABELS, 1), (DISPARITY, 1), (CAMERA, 2)])
def test_a_file_that_was_written_to(root, file, count):
    """Of 3 training images with labels, a depth map and a camera; maps are of the image, too, depth of the camera."""
    size = (root / "cityscapes" / file).stat().st_size
    os.utime(root / "cityscapes" / file)
    expected = f"{root}/prepared/cityscapes_32x32 lacks {count} of 12 files of {root}/cityscapes as they are now"
    expected += f", the first {file}, which was written to since ({size} bytes then, {size} now)"
    assert refused(root) == f"data.prepared: {expected}"


def test_a_file_of_another_size_though_of_the_same_time(root):
    path = root / "cityscapes" / CAMERA
    before = path.stat()
    write_camera(path, fx=1234.56)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"({before.st_size} bytes then, {path.stat().st_size} now)" in refused(root)


def test_the_first_of_several_files_is_named(root):
    for path in (root / "cityscapes").rglob("*.png"):
        os.utime(path)
    assert f"lacks 9 of 12 files of {root}/cityscapes as they are now, the first {IMAGE}," in refused(root)


def test_an_image_that_was_added(root):
    added = "train/ulm/ulm_000009_000019"
    write_cityscapes(root / "other", names=(added,))
    shutil.copytree(root / "other", root / "cityscapes", dirs_exist_ok=True)
    assert f"the first leftImg8bit/{added}_leftImg8bit.png, which is not prepared (frames of sample" in refused(root)


def test_a_camera_file_that_was_added(tmp_path):
    write_cityscapes(tmp_path / "cityscapes", names=NAMES)
    (tmp_path / "cityscapes" / CAMERA).unlink()
    prepare(experiment("semseg", tmp_path, prepared=tmp_path / "prepared"))
    write_camera(tmp_path / "cityscapes" / CAMERA)
    assert f"{CAMERA}, which is not prepared (intrinsics of sample {TRAIN})" in refused(tmp_path, "semseg")


def test_labels_that_are_gone(root):
    path = root / "cityscapes" / LABELS
    path.unlink()
    prepared = experiment("fs", root, prepared=root / "prepared")
    with pytest.raises(NotPrepared, match=rf"the first {LABELS}, which is no longer there"):
        open_all(prepared)


def test_small_images_that_were_added(root):
    """They are read in place of the others."""
    for name in NAMES:
        image = f"{name}_leftImg8bit.png"
        (root / "cityscapes" / "leftImg8bit_small" / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / "cityscapes" / "leftImg8bit" / image, root / "cityscapes" / "leftImg8bit_small" / image)
    assert f"leftImg8bit_small/{TRAIN}_leftImg8bit.png, which is not prepared" in refused(root)


def test_another_folder_of_the_same_dataset(root):
    shutil.rmtree(root / "cityscapes")
    write_cityscapes(root / "cityscapes", names=NAMES)
    assert f"lacks 12 of 12 files of {root}/cityscapes" in refused(root)


def test_another_dataset_whose_files_have_the_same_names_sizes_and_times(tmp_path):
    """As of two packs of NYUDv2 from archives that have no times of their own."""
    write_nyudv2(tmp_path / "other" / "nyudv2")
    shutil.copytree(tmp_path / "other" / "nyudv2", tmp_path / "nyudv2")
    depth = np.load(tmp_path / "nyudv2" / "depth" / "0002.npy")
    depth[depth.shape[0] // 2] += 1
    np.save(tmp_path / "nyudv2" / "depth" / "0002.npy", depth)
    for path in [*(tmp_path / "nyudv2").rglob("*"), *(tmp_path / "other").rglob("*")]:
        os.utime(path, (1e9, 1e9))
    prepare(experiment("nyudv2", tmp_path / "other", prepared=tmp_path / "prepared"))
    expected = f"lacks 1 of 10 files .* depth/0002.npy, which is another than that .* in {tmp_path}/other/nyudv2"
    assert re.search(expected, refused(tmp_path, "nyudv2"))
    assert_same_samples(
        experiment("nyudv2", tmp_path / "other", prepared=tmp_path / "prepared"),
        experiment("nyudv2", tmp_path / "other"),
        epochs=1,
    )


def test_maps_of_an_image_that_has_another_size_now(root):
    path = root / "cityscapes" / IMAGE
    Image.open(path).crop((0, 0, 20, 20)).save(path)
    prepared = experiment("fs", root, prepared=root / "prepared")
    with pytest.raises(UserError, match=r"gtFine/.*64x32 pixels, but the image of sample .* has 20x20"):
        prepare(prepared)
    with pytest.raises(NotPrepared):
        open_all(prepared)


def test_maps_and_sizes_that_are_not_prepared(tmp_path):
    write_nyudv2(tmp_path / "nyudv2")
    prepare(experiment("depth only", tmp_path, prepared=tmp_path / "prepared"))
    assert "segmentation/0001.png, which is not prepared (semseg of sample 0001)" in refused(tmp_path, "nyudv2")
    assert "prepared/nyudv2_48x32 lacks 10 of 10 files" in refused(tmp_path, "nyudv2", size=(48, 32))


def test_the_target_of_an_adaptation_is_refused_by_its_key(root):
    write_synthia(root / "synthia")
    prepare(experiment("adaptation", root, prepared=root / "prepared"))
    os.utime(root / "cityscapes" / IMAGE)
    assert refused(root, "adaptation").startswith(f"data.target.prepared: {root}/prepared/cityscapes_32x32 lacks 1 of")


# --- damaged ---


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def shorter(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def of_another_type(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def without_its_bracket(path: Path) -> None:
    """NumPy's own error is one of Python's tokenizer, then."""
    path.write_bytes(path.read_bytes().replace(b"), }", b" , }", 1))


def edited(key: str, value: object):
    def edit(path: Path) -> None:
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps(manifest | {key: value}))

    return edit


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("frames.npy", truncated, r"frames.npy: missing or damaged"),
        ("semseg.npy", Path.unlink, r"semseg.npy: missing or damaged"),
        ("depth.npy", lambda path: path.write_bytes(b""), r"depth.npy: missing or damaged"),
        ("depth.npy", of_another_type, r"depth.npy: damaged, it holds float64 .* rows are float32 \(32, 32\)"),
        ("semseg.npy", shorter, r"semseg.npy: damaged, it has fewer rows than .*manifest.json lists"),
        ("depth.npy", without_its_bracket, r"depth.npy: missing or damaged"),
        ("depth.npy", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(90)), r"depth.npy: missing or damaged"),
        ("manifest.json", Path.unlink, r"manifest.json: missing or damaged"),
        ("manifest.json", truncated, r"manifest.json: missing or damaged"),
        ("manifest.json", lambda path: path.write_text("[]"), r"manifest.json: missing or damaged"),
        ("manifest.json", edited("rows", {"frames": [[0, "x"]]}), r"manifest.json: missing or damaged"),
        ("manifest.json", edited("rows", {"sound": []}), r"lacks 12 of 12 files"),
        ("manifest.json", edited("format", 0), r"manifest.json: is of cityscapes at 32x32, format 0, needed is .* 1$"),
        ("manifest.json", edited("dataset", "synthia"), r"is of synthia at 32x32, format 1, needed is cityscapes at"),
    ],
)
def test_damage(root, file, harm, message):
    path = root / PART / file
    harm(path)
    found = refused(root)
    assert found.startswith(f"data.prepared: {root}/prepared/cityscapes_32x32")
    assert re.search(message, found)
    assert [path.name for path in root.glob("prepared/*/part-*")] == ["part-0002"]


def test_a_folder_that_was_renamed(root):
    (root / "prepared" / "cityscapes_32x32").rename(root / "prepared" / "cityscapes_48x32")
    assert "is of cityscapes at 32x32, format 1, needed is cityscapes at 48x32" in refused(root, size=(48, 32))
