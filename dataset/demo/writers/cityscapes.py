"""Writes streets in the format of Cityscapes, with the video frames before and after each annotated one.

As in a shrunken copy of the real files, cameras and disparities hold for 2048x1024 pixels whatever the images' size.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np

from dataset.cityscapes import DEFAULT_CAMERA
from dataset.demo.scene import OUTDOOR_CLASSES, Frame
from dataset.demo.writers.common import STRIDE, World, build_scene, each_scene, save_image, save_truth

SEED = 1
BASELINE = 0.209313  # metres between the cameras of the real stereo rig
CITIES = {"train": "demoburg", "val": "demohaven"}
# The real dataset annotates frame 19 of each snippet; ours are annotated at 19, 22, 25 ...
FIRST = 19
LABELS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "tree": 21,
    "bush": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "car": 26,
    "bus": 28,
}


def write_cityscapes(root: Path, world: World, *, workers: int = 1, label: str | None = None) -> None:
    """Fills the empty folder `root`; `label` is the text of the progress bar, None for none."""
    each_scene(partial(_write_scene, root, world), world, workers=workers, label=label)


def _write_scene(root: Path, world: World, number: int) -> None:
    scene = build_scene(world, SEED, number, outdoor=True)
    intrinsics = world.intrinsics(DEFAULT_CAMERA)
    split = world.split(number)
    city = Path(split) / CITIES[split]
    for step in range(STRIDE * world.frames):
        # Step 1 of every three is annotated, 0 and 2 are its neighbours.
        pose = scene.path(step)
        frame = scene.render(pose, intrinsics, world.size)
        stem = f"{CITIES[split]}_{number:06d}_{FIRST - 1 + step:06d}"
        save_image(root / "leftImg8bit_sequence" / city / f"{stem}_leftImg8bit.png", frame.rgb)
        if step % STRIDE == 1:
            save_image(root / "leftImg8bit" / city / f"{stem}_leftImg8bit.png", frame.rgb)
            _write_annotations(root, city, stem, frame)
        if world.truth:
            save_truth(root, stem, frame, pose, intrinsics)


def _write_annotations(root: Path, city: Path, stem: str, frame: Frame) -> None:
    table = np.array([LABELS[name] for name in OUTDOOR_CLASSES], dtype=np.uint8)
    save_image(root / "gtFine" / city / f"{stem}_gtFine_labelIds.png", table[frame.classes])
    fx, fy, u0, v0 = DEFAULT_CAMERA.fx, DEFAULT_CAMERA.fy, DEFAULT_CAMERA.u0, DEFAULT_CAMERA.v0
    disparity = np.round(256 * BASELINE * fx / frame.depth) + 1
    disparity[(disparity > 65535) | ~np.isfinite(frame.depth)] = 0  # too near to be stored; the sky has no match
    save_image(root / "disparity" / city / f"{stem}_disparity.png", disparity.astype(np.uint16))
    camera = {"extrinsic": {"baseline": BASELINE}, "intrinsic": {"fx": fx, "fy": fy, "u0": u0, "v0": v0}}
    path = root / "camera" / city / f"{stem}_camera.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(camera, indent=4) + "\n")
