"""Each format, read back by the real dataset class, is a fresh picture of its scene."""

import numpy as np
import pytest

from dataset.build import DatasetUse, build_dataset
from dataset.demo.classes import INDOOR, OUTDOOR
from dataset.demo.formats import FORMATS, make_scene
from dataset.labels import label_set
from tests.helpers.dataset_files import config

SETTINGS = {  # classes, size, a sample's name -> scene and camera step
    "nyudv2": (40, (128, 96), lambda name: (int(name[:4]), 3 * int(name[5:]))),
    "cityscapes": (19, (128, 64), lambda name: (int(name[-13:-7]), int(name[-6:]) - 18)),
    "synthia": (16, (128, 76), lambda name: (int(name) // 2, 3 * (int(name) % 2))),
    "vkitti2": (14, (160, 48), lambda name: (int(name[5:7]) - 1, int(name[-5:]))),
}
REAL_NAMES = dict.fromkeys(SETTINGS, {"tree": "vegetation", "bush": "vegetation"})
REAL_NAMES["nyudv2"] = {"otherstructure": "other structure", "otherprop": "other prop"}
REAL_NAMES["vkitti2"] = {name: name.title().replace(" ", "") for name in OUTDOOR}
REAL_NAMES["vkitti2"] |= {"sidewalk": "Terrain", "bush": "Vegetation", "fence": "GuardRail", "bus": "Truck"}
REAL_NAMES["vkitti2"] |= {"person": "Misc", "wall": "Misc"}


@pytest.mark.parametrize(("split", "scenes"), [("train", {0, 1, 2}), ("val", {3, 4})])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_real_dataset_class_reads_what_the_camera_saw(name, split, scenes, request):
    n_classes, size, place = SETTINGS[name]
    tasks = ("semseg", "depth") + (("normals", "edges") if name == "nyudv2" else ())
    cfg = config(name, request.getfixturevalue(f"demo_{name}"), n_classes, size)
    data = build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=False), seed=0)
    real_names = [REAL_NAMES[name].get(demo, demo) for demo in (INDOOR if name == "nyudv2" else OUTDOOR)]
    names = label_set(name, n_classes).names
    train_ids = [names.index(real) if real in names else 250 for real in real_names]
    assert train_ids.count(250) == (name == "synthia")  # which ignores terrain
    places = [place(data.filename(index)) for index in range(len(data))]
    assert {scene for scene, _ in places} == scenes or name in ("synthia", "vkitti2")  # shuffled frame by frame
    intrinsics = FORMATS[name].camera.matrix(width=size[0], height=size[1])
    for index, (number, step) in enumerate(places):
        sample = {key: value.numpy() for key, value in data[index].items() if hasattr(value, "numpy")}
        scene = make_scene((7, FORMATS[name].seed, number), outdoor=FORMATS[name].outdoor)  # 7: seed of the fixtures
        frame = scene.render(scene.path(step), intrinsics, size)
        difference = np.abs(sample["image"].transpose(1, 2, 0) * 255 - frame.rgb)
        assert difference.max() < 0.01 or (name == "vkitti2" and difference.mean() < 5)  # JPEG
        np.testing.assert_allclose(sample["intrinsics"], intrinsics, rtol=1e-6)
        np.testing.assert_array_equal(sample["semseg"], np.array(train_ids)[frame.classes])
        depth, seen = sample["depth"][0], np.isfinite(frame.depth)
        if name == "cityscapes":  # disparity in 256ths of a pixel at 2048x1024, none in the sky
            np.testing.assert_array_equal(depth > 0, seen)
            np.testing.assert_allclose(0.209313 * 2262.52 * (1 / depth[seen] - 1 / frame.depth[seen]), 0, atol=0.002)
        else:
            np.testing.assert_allclose(depth, np.minimum(frame.depth, 655.35), atol=0.0051)
        if name == "nyudv2":
            assert (frame.normals * sample["normals"].transpose(1, 2, 0)).sum(axis=-1).min() > np.cos(np.radians(1))
            np.testing.assert_array_equal(sample["edges"], frame.edges)
