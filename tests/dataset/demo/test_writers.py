"""The four on-disk formats, read back with plain OpenCV and NumPy and compared with fresh pictures of the scenes."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label

from dataset.demo.scene import INDOOR_CLASSES, OUTDOOR_CLASSES, Frame, make_scene
from dataset.demo.writers import World, write_nyudv2, write_synthia, write_vkitti2

FIXTURE_SEED = 7  # of tests/demo_fixtures.py
# Written down a second time, from the documentation of the datasets.
CAMERAS = {
    "nyudv2": (640, 480, 518.857901, 519.469611, 325.582449, 253.736166),
    "cityscapes": (2048, 1024, 2262.52, 2265.3017905988554, 1096.98, 513.137),
    "synthia": (1280, 760, 532.740352, 532.740352, 640.0, 380.0),
    "vkitti2": (1242, 375, 725.0087, 725.0087, 620.5, 187.0),
}
NUMBERS = {"nyudv2": 0, "cityscapes": 1, "synthia": 2, "vkitti2": 3}


def intrinsics(dataset: str, size: tuple[int, int]) -> np.ndarray:
    width, height, fx, fy, u0, v0 = CAMERAS[dataset]
    across, down = size[0] / width, size[1] / height
    return np.array([[fx * across, 0, u0 * across], [0, fy * down, v0 * down], [0, 0, 1]])


def picture(dataset: str, number: int, step: int, size: tuple[int, int], seed: int = FIXTURE_SEED) -> Frame:
    """What the writer should have seen in scene `number`."""
    scene = make_scene((seed, NUMBERS[dataset], number), outdoor=dataset != "nyudv2")
    return scene.render(scene.path(step), intrinsics(dataset, size), size)


def read(path: Path) -> np.ndarray:
    """As stored; three channels come back as R, G, B."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image if image.ndim == 2 else image[..., ::-1]


def names_of(frame: Frame, classes: tuple[str, ...]) -> np.ndarray:
    return np.array(classes)[frame.classes]


def small(**settings: object) -> World:
    defaults = {"scenes": 2, "val_scenes": 1, "frames": 2, "size": (64, 48), "style": "source", "seed": 3}
    return World(**(defaults | settings))


def check_classes(stored: np.ndarray, names: np.ndarray, meaning: dict) -> None:
    """`stored` [H,W] or [H,W,3] holds each key of `meaning` exactly where `names` [H,W] is among its class names."""
    explained = np.zeros(names.shape, dtype=bool)
    for value, expected in meaning.items():
        found = (stored == value).all(axis=-1) if stored.ndim == 3 else stored == value
        np.testing.assert_array_equal(found, np.isin(names, sorted(expected)), err_msg=str(value))
        explained |= found
    assert explained.all()


# The 40 classes of NYUDv2, 1-based, that the demo world knows.
NYUDV2 = {1: "wall", 2: "floor", 3: "cabinet", 6: "sofa", 7: "table", 8: "door", 9: "window", 10: "bookshelf"}
NYUDV2 |= {11: "picture", 16: "curtain", 20: "floor mat", 22: "ceiling", 29: "box", 31: "person", 35: "lamp"}
NYUDV2 |= {38: "otherstructure", 40: "otherprop"}


def test_nyudv2(demo_nyudv2):
    lists = {split: (demo_nyudv2 / "gt_sets" / f"{split}.txt").read_text().split() for split in ("train", "val")}
    assert len(lists["train"]) == 6 and len(lists["val"]) == 4
    scenes = {split: {name[:4] for name in names} for split, names in lists.items()}
    assert not scenes["train"] & scenes["val"]
    assert {path.name for path in demo_nyudv2.iterdir()} == {
        "gt_sets", "images", "segmentation", "depth", "normals", "edge"
    }  # fmt: skip
    for name in lists["train"] + lists["val"]:
        frame = picture("nyudv2", int(name[:4]), 3 * int(name[5:]), (128, 96))
        np.testing.assert_array_equal(read(demo_nyudv2 / "images" / f"{name}.png"), frame.rgb)
        labels = read(demo_nyudv2 / "segmentation" / f"{name}.png")
        assert labels.dtype == np.uint8 and labels.shape == (96, 128)
        check_classes(labels, names_of(frame, INDOOR_CLASSES), {key: {value} for key, value in NYUDV2.items()})
        depth = np.load(demo_nyudv2 / "depth" / f"{name}.npy")
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, frame.depth, rtol=1e-6)
        normals = read(demo_nyudv2 / "normals" / f"{name}.png") / 255 * 2 - 1
        np.testing.assert_allclose(normals, frame.normals, atol=1 / 255 + 1e-9)
        np.testing.assert_array_equal(read(demo_nyudv2 / "edge" / f"{name}.png"), frame.edges * 255)


def test_nyudv2_pack_of_arrays(tmp_path):
    write_nyudv2(tmp_path, small(), pack="npy")
    frame = picture("nyudv2", 1, 3, (64, 48), seed=3)
    image = read(tmp_path / "images" / "0001_01.jpg")
    assert np.abs(image.astype(int) - frame.rgb).mean() < 5
    normals = np.load(tmp_path / "normals" / "0001_01.npy")
    np.testing.assert_allclose(normals, frame.normals, atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "edge" / "0001_01.npy") > 0, frame.edges)
    assert not list(tmp_path.rglob("images/*.png"))


def test_cityscapes(demo_cityscapes):
    images = sorted(demo_cityscapes.glob("leftImg8bit/*/*/*"))
    assert [path.parts[-3] for path in images].count("train") == 6
    assert [path.parts[-3] for path in images].count("val") == 4
    official = {label.name: number for number, label in id2label.items()} | {"tree": 21, "bush": 21}
    meaning = {official[name]: set() for name in OUTDOOR_CLASSES}
    for name in OUTDOOR_CLASSES:
        meaning[official[name]].add(name)
    assert id2label[21].name == "vegetation"
    for path in images:
        match = re.fullmatch(r"(\w+)_(\d{6})_(\d{6})_leftImg8bit\.png", path.name)
        city, recording, number = match[1], int(match[2]), int(match[3])
        assert path.parent.name == city
        frame = picture("cityscapes", recording, number - 18, (128, 64))
        np.testing.assert_array_equal(read(path), frame.rgb)

        def beside(kind: str, ending: str, path: Path = path) -> Path:
            name = path.name.replace("leftImg8bit.png", ending)
            return demo_cityscapes / kind / path.relative_to(demo_cityscapes / "leftImg8bit").with_name(name)

        labels = read(beside("gtFine", "gtFine_labelIds.png"))
        assert labels.dtype == np.uint8
        check_classes(labels, names_of(frame, OUTDOOR_CLASSES), meaning)

        camera = json.loads(beside("camera", "camera.json").read_text())
        fx = camera["intrinsic"]["fx"]
        assert [fx, *(camera["intrinsic"][key] for key in ("fy", "u0", "v0"))] == list(CAMERAS["cityscapes"][2:])
        stored = read(beside("disparity", "disparity.png"))
        assert stored.dtype == np.uint16
        seen = np.isfinite(frame.depth)
        np.testing.assert_array_equal(stored == 0, ~seen)
        disparity = (stored[seen].astype(float) - 1) / 256
        np.testing.assert_allclose(disparity, camera["extrinsic"]["baseline"] * fx / frame.depth[seen], atol=0.5 / 256)

        for offset in (-1, 0, 1):
            neighbour = beside("leftImg8bit_sequence", "leftImg8bit.png")
            neighbour = neighbour.with_name(f"{city}_{recording:06d}_{number + offset:06d}_leftImg8bit.png")
            expected = picture("cityscapes", recording, number - 18 + offset, (128, 64)).rgb
            np.testing.assert_array_equal(read(neighbour), expected)
    assert len(list(demo_cityscapes.glob("leftImg8bit_sequence/*/*/*"))) == 3 * len(images)


SYNTHIA = {1: {"sky"}, 2: {"building"}, 3: {"road"}, 4: {"sidewalk"}, 5: {"fence"}, 6: {"tree", "bush"}, 7: {"pole"}}
SYNTHIA |= {8: {"car"}, 9: {"traffic sign"}, 10: {"person"}, 15: {"traffic light"}, 16: {"terrain"}, 19: {"bus"}}
SYNTHIA |= {21: {"wall"}}


def centimetres(frame: Frame) -> np.ndarray:
    return np.round(np.minimum(frame.depth, 655.35) * 100)


def test_synthia(demo_synthia):
    paths = sorted(demo_synthia.glob("RGB/*"))
    assert [path.name for path in paths] == [f"{number:07d}.png" for number in range(10)]
    for number, path in enumerate(paths):
        frame = picture("synthia", number // 2, 3 * (number % 2), (128, 76))
        np.testing.assert_array_equal(read(path), frame.rgb)
        labels = read(demo_synthia / "GT" / "LABELS" / path.name)
        assert labels.dtype == np.uint16 and labels.shape == (76, 128, 3)
        check_classes(labels[..., 0], names_of(frame, OUTDOOR_CLASSES), SYNTHIA)
        depth = read(demo_synthia / "Depth" / "Depth" / path.name)
        assert depth.dtype == np.uint16 and depth.shape == (76, 128, 3)
        for channel in range(3):
            np.testing.assert_array_equal(depth[..., channel], centimetres(frame))
        assert (depth[np.isinf(frame.depth)] == 65535).all()


def test_synthia_parsed_labels(tmp_path):
    write_synthia(tmp_path, small(), parsed=True)
    frame = picture("synthia", 1, 3, (64, 48), seed=3)
    check_classes(read(tmp_path / "parsed_LABELS" / "0000003.png"), names_of(frame, OUTDOOR_CLASSES), SYNTHIA)
    np.testing.assert_array_equal(read(tmp_path / "Depth" / "0000003.png"), centimetres(frame))
    assert not (tmp_path / "GT").exists() and not (tmp_path / "Depth" / "Depth").exists()


VKITTI2 = {
    (210, 0, 200): {"terrain", "sidewalk"},
    (90, 200, 255): {"sky"},
    (0, 199, 0): {"tree"},
    (90, 240, 0): {"bush"},
    (140, 140, 140): {"building"},
    (100, 60, 100): {"road"},
    (250, 100, 255): {"fence"},
    (255, 255, 0): {"traffic sign"},
    (200, 200, 0): {"traffic light"},
    (255, 130, 0): {"pole"},
    (80, 80, 80): {"person", "wall"},
    (160, 60, 60): {"bus"},
    (255, 127, 80): {"car"},
}


def check_vkitti2(roots: dict[str, Path], frame: Frame, scene: str, number: int) -> None:
    def path(kind: str, name: str) -> Path:
        return roots[kind] / scene / "15-deg-left" / "frames" / kind / "Camera_0" / name

    image = read(path("rgb", f"rgb_{number:05d}.jpg"))
    assert np.abs(image.astype(int) - frame.rgb).mean() < 5
    depth = read(path("depth", f"depth_{number:05d}.png"))
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, centimetres(frame))
    labels = read(path("classSegmentation", f"classgt_{number:05d}.png"))
    check_classes(labels, names_of(frame, OUTDOOR_CLASSES), VKITTI2)


def test_vkitti2(demo_vkitti2):
    scenes = sorted(path.name for path in demo_vkitti2.iterdir())
    assert scenes == ["Scene01", "Scene02", "Scene03", "Scene04", "Scene05"]
    roots = dict.fromkeys(("rgb", "depth", "classSegmentation"), demo_vkitti2)
    for number, scene in enumerate(scenes):
        for view in range(2):
            check_vkitti2(roots, picture("vkitti2", number, view, (160, 48)), scene, view)


def test_vkitti2_under_three_roots(tmp_path):
    write_vkitti2(tmp_path, small(), separate=True)
    roots = {kind: tmp_path / kind for kind in ("rgb", "depth", "classSegmentation")}
    assert {path.name for path in tmp_path.iterdir()} == set(roots)
    check_vkitti2(roots, picture("vkitti2", 1, 1, (64, 48), seed=3), "Scene02", 1)


def test_truth_is_exact_and_beside_the_dataset(demo_truth_cityscapes, demo_cityscapes):
    assert not (demo_cityscapes / "truth").exists()
    stems = {
        path.stem.removesuffix("_leftImg8bit") for path in demo_truth_cityscapes.glob("leftImg8bit_sequence/*/*/*")
    }
    for kind in ("depth", "normals", "pose", "intrinsics"):
        assert {path.stem for path in (demo_truth_cityscapes / "truth" / kind).iterdir()} == stems
    stem = sorted(stems)[1]
    frame = picture("cityscapes", 0, 1, (256, 128))
    truth = {kind: np.load(demo_truth_cityscapes / "truth" / kind / f"{stem}.npy") for kind in ("depth", "normals")}
    np.testing.assert_array_equal(truth["depth"], frame.depth)
    assert np.isinf(truth["depth"]).any()
    np.testing.assert_array_equal(truth["normals"], frame.normals)
    np.testing.assert_allclose(
        np.load(demo_truth_cityscapes / "truth" / "intrinsics" / f"{stem}.npy"), intrinsics("cityscapes", (256, 128))
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenes": 0}, "scenes: must be at least 1, got 0"),
        ({"val_scenes": 2}, "val_scenes: must be 0..1 of 2 scenes, got 2"),
        ({"frames": 11}, "frames: must be 1..10 per scene, got 11"),
        ({"size": (64, 8)}, "size: width and height must be at least 16, got 64x8"),
        ({"style": "noir"}, "style: must be one of source, target, got 'noir'"),
        ({"seed": -1}, "seed: must not be negative, got -1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small(**settings)
