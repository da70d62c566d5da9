"""Each format, read back by the real dataset class, is a fresh picture of its scene."""

import cv2
import numpy as np
import pytest

from dataset.build import build_dataset
from dataset.demo.classes import INDOOR, OUTDOOR
from dataset.demo.scene import make_scene
from tests.helpers.dataset_files import config

# Written down a second time, from the documentation of the datasets.
CAMERAS = {
    "nyudv2": (640, 480, 518.857901, 519.469611, 325.582449, 253.736166),
    "cityscapes": (2048, 1024, 2262.52, 2265.3017905988554, 1096.98, 513.137),
    "synthia": (1280, 760, 532.740352, 532.740352, 640.0, 380.0),
    "vkitti2": (1242, 375, 725.0087, 725.0087, 620.5, 187.0),
}
SETTINGS = {  # number of scenes' seed, classes, size, a sample's name -> scene and camera step
    "nyudv2": (0, 40, (128, 96), lambda name: (int(name[:4]), 3 * int(name[5:]))),
    "cityscapes": (1, 19, (128, 64), lambda name: (int(name[-13:-7]), int(name[-6:]) - 18)),
    "synthia": (2, 16, (128, 76), lambda name: (int(name) // 2, 3 * (int(name) % 2))),
    "vkitti2": (3, 14, (160, 48), lambda name: (int(name[5:7]) - 1, int(name[-5:]))),
}
VKITTI2_NAMES = {"sidewalk": "Terrain", "bush": "Vegetation", "fence": "GuardRail", "person": "Misc", "wall": "Misc"}
VKITTI2_NAMES |= {"traffic light": "TrafficLight", "traffic sign": "TrafficSign", "bus": "Truck"}
OTHER_NAMES = {"tree": "vegetation", "bush": "vegetation", "otherstructure": "other structure"}
OTHER_NAMES |= {"otherprop": "other prop"}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_real_dataset_class_reads_what_the_camera_saw(name, request):
    number, n_classes, size, place = SETTINGS[name]
    tasks = ("semseg", "depth") + (("normals", "edges") if name == "nyudv2" else ())
    cfg = config(name, request.getfixturevalue(f"demo_{name}"), n_classes, size)
    data = build_dataset(cfg, split="all", tasks=tasks, training=False, seed=0)
    assert len(data) == 10
    train_ids = []
    for demo_class in INDOOR if name == "nyudv2" else OUTDOOR:
        real = VKITTI2_NAMES.get(demo_class, demo_class.title()) if name == "vkitti2" else demo_class
        real = OTHER_NAMES.get(real, real)
        train_ids.append(data.class_names.index(real) if real in data.class_names else 250)
    assert train_ids.count(250) == (name == "synthia")  # which ignores terrain
    width, height, fx, fy, u0, v0 = CAMERAS[name]
    across, down = size[0] / width, size[1] / height
    intrinsics = np.array([[fx * across, 0, u0 * across], [0, fy * down, v0 * down], [0, 0, 1]])
    for index in range(len(data)):
        sample = {key: value.numpy() for key, value in data[index].items() if hasattr(value, "numpy")}
        scene_number, step = place(data.filename(index))
        scene = make_scene((7, number, scene_number), outdoor=name != "nyudv2")  # 7: seed of the fixtures
        frame = scene.render(scene.path(step), intrinsics, size)
        difference = np.abs(sample["image"].transpose(1, 2, 0) * 255 - frame.rgb)
        assert difference.max() < 0.01 or (name == "vkitti2" and difference.mean() < 5)  # JPEG
        np.testing.assert_allclose(sample["intrinsics"], intrinsics, rtol=1e-6)
        np.testing.assert_array_equal(sample["semseg"], np.array(train_ids)[frame.classes])
        depth, seen = sample["depth"][0], np.isfinite(frame.depth)
        if name == "cityscapes":  # disparity in 256ths of a pixel at 2048x1024
            np.testing.assert_array_equal(sample["depth_mask"][0], seen)
            np.testing.assert_allclose(0.209313 * fx / depth[seen], 0.209313 * fx / frame.depth[seen], atol=0.51 / 256)
        else:
            np.testing.assert_allclose(depth, np.minimum(frame.depth, 655.35), atol=0.0051)
        if name == "nyudv2":
            assert (frame.normals * sample["normals"].transpose(1, 2, 0)).sum(axis=-1).min() > np.cos(np.radians(1))
            np.testing.assert_array_equal(sample["edges"], frame.edges)


def test_synthia_stores_objects_and_equal_channels_of_depth(demo_synthia):
    labels = cv2.imread(str(demo_synthia / "GT/LABELS/0000002.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    depth = cv2.imread(str(demo_synthia / "Depth/Depth/0000002.png"), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == depth.dtype == np.uint16 and (depth == depth[..., :1]).all()
    assert len(np.unique(labels[..., 1])) > len(np.unique(labels[..., 0])) and not labels[..., 2].any()


@pytest.mark.parametrize("name", ["nyudv2", "cityscapes"])
def test_splits_share_no_scene(name, request):
    _, n_classes, size, place = SETTINGS[name]
    cfg = config(name, request.getfixturevalue(f"demo_{name}"), n_classes, size)
    scenes = []
    for split in ("train", "val"):
        data = build_dataset(cfg, split=split, tasks=(), training=False, seed=0)
        scenes.append({place(data.filename(index))[0] for index in range(len(data))})
    assert scenes == [{0, 1, 2}, {3, 4}]
