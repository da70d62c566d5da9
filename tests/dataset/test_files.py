"""What holds for the files of any dataset: cameras of every size, and mistakes that name file, sample and cure."""

import numpy as np
import pytest

from dataset.build import DatasetUse, build_dataset
from tests.helpers.dataset_files import config, write_datasets, write_nyudv2
from utils.errors import UserError

STREET = "train/aachen/aachen_000000_000019"
CLASSES = {"cityscapes": 19, "synthia": 16, "vkitti2": 14, "nyudv2": 40}
SIZES = {"cityscapes": (64, 32), "synthia": (64, 38), "vkitti2": (62, 19), "nyudv2": (64, 48)}
VKITTI = "Scene01/15-deg-left/frames"


@pytest.fixture
def roots(tmp_path):
    write_datasets(tmp_path, streets=(STREET,))
    write_nyudv2(tmp_path / "nyudv2 of arrays", arrays=True)
    return tmp_path


def build(roots, folder, *, size=None):
    name = folder.partition(" ")[0]
    cfg = config(name, roots / folder, CLASSES[name], size or SIZES[name])
    tasks = ("semseg", "depth", "normals", "edges") if name == "nyudv2" else ("semseg", "depth")
    split = "all" if name in ("synthia", "vkitti2") else "train"
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=False), seed=0)


@pytest.mark.parametrize(
    ("name", "size", "fx", "fy", "u0", "v0"),
    [
        ("synthia", (1024, 512), 532.740352 * 0.8, 532.740352 * 512 / 760, 512, 256),
        ("vkitti2", (621, 750), 725.0087 / 2, 725.0087 * 2, 310.25, 374),
        ("nyudv2", (576, 448), 518.857901 * 0.9, 519.469611 * 448 / 480, 325.582449 * 0.9, 253.736166 * 448 / 480),
    ],
)
def test_intrinsics_are_those_of_the_original_size_resized(roots, name, size, fx, fy, u0, v0):
    intrinsics = build(roots, name, size=size)[0]["intrinsics"]
    np.testing.assert_allclose(intrinsics, [[fx, 0, u0], [0, fy, v0], [0, 0, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "missing", "tree"),
    [
        ("cityscapes", "leftImg8bit/train", r"leftImg8bit_trainvaltest\.zip"),
        ("cityscapes", "gtFine", r"gtFine_trainvaltest\.zip"),
        ("cityscapes", "disparity", r"disparity_trainvaltest\.zip"),
        ("synthia", "RGB", r"RGB/\*\.png"),
        ("synthia", "GT", r"GT/LABELS/\*\.png"),
        ("synthia", "Depth", r"Depth/Depth/\*\.png"),
        ("vkitti2", f"{VKITTI}/depth", r"vkitti_2\.0\.3"),
        ("vkitti2", f"{VKITTI}/classSegmentation", r"vkitti_2\.0\.3"),
        *(("nyudv2", folder, "gt_sets/") for folder in ("images", "segmentation", "depth", "normals", "edge")),
        ("nyudv2", "gt_sets/train.txt", "gt_sets/"),
    ],
)
def test_a_missing_folder_is_named_with_its_key_and_the_expected_tree(roots, name, missing, tree):
    path = roots / name / missing
    path.rename(roots / "away")
    with pytest.raises(UserError, match=rf"^data\.path: {path.parent}.*{path.name}.*{tree}"):
        build(roots, name)


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("cityscapes", f"gtFine/{STREET}_gtFine_labelIds.png"),
        ("cityscapes", f"disparity/{STREET}_disparity.png"),
        ("cityscapes", f"leftImg8bit/{STREET}_leftImg8bit.png"),
        ("synthia", "GT/LABELS/0000000.png"),
        ("vkitti2", f"{VKITTI}/rgb/Camera_0/rgb_00000.jpg"),
        ("nyudv2", "segmentation/0001.png"),
        ("nyudv2", "normals/0001.png"),
        ("nyudv2", "edge/0001.png"),
        ("nyudv2", "depth/0001.npy"),
        ("nyudv2 of arrays", "normals/0001.npy"),
        ("nyudv2 of arrays", "edge/0001.npy"),
        ("nyudv2 of arrays", "images/0001.jpg"),
    ],
)
def test_missing_and_damaged_files_name_themselves_and_the_sample(roots, folder, file):
    samples = build(roots, folder)
    path = roots / folder / file
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :]
    for content in (whole[:middle], b"", b"no image at all", *([flipped] if folder == "cityscapes" else [])):
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=rf"^{path}: truncated or corrupt .*needed for sample {samples.filename(0)}"
        ):
            samples[0]
    path.unlink()
    with pytest.raises(UserError, match=rf"^{path}: no such file, needed for sample {samples.filename(0)}"):
        samples[0]
