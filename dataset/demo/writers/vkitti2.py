"""Writes streets in the format of Virtual KITTI 2: one short video a scene, all files under one root or under three."""

from functools import partial
from pathlib import Path

import numpy as np

from dataset.demo.scene import OUTDOOR_CLASSES
from dataset.demo.writers.common import World, build_scene, centimetres, each_scene, save_image, save_truth
from dataset.vkitti2 import CAMERA

SEED = 3
VARIATION = "15-deg-left"
# The dataset knows neither pavements nor people: they go where it puts roadsides and everything else.
COLOURS = {
    "terrain": (210, 0, 200),
    "sidewalk": (210, 0, 200),
    "sky": (90, 200, 255),
    "tree": (0, 199, 0),
    "bush": (90, 240, 0),
    "building": (140, 140, 140),
    "road": (100, 60, 100),
    "fence": (250, 100, 255),
    "traffic sign": (255, 255, 0),
    "traffic light": (200, 200, 0),
    "pole": (255, 130, 0),
    "wall": (80, 80, 80),
    "person": (80, 80, 80),
    "bus": (160, 60, 60),
    "car": (255, 127, 80),
}


def write_vkitti2(
    root: Path, world: World, *, separate: bool = False, workers: int = 1, label: str | None = None
) -> None:
    """Fills the empty folder `root`.

    Args:
        separate: images, depth and labels each under its own `rgb/`, `depth/`, `classSegmentation/` of the root.
        label: text of the progress bar; None for none.
    """
    each_scene(partial(_write_scene, root, world, separate), world, workers=workers, label=label)


def _write_scene(root: Path, world: World, separate: bool, number: int) -> None:
    scene = build_scene(world, SEED, number, outdoor=True)
    intrinsics = world.intrinsics(CAMERA)
    table = np.array([COLOURS[name] for name in OUTDOOR_CLASSES], dtype=np.uint8)
    name = f"Scene{number + 1:02d}"

    def folder(kind: str) -> Path:
        return (root / kind if separate else root) / name / VARIATION / "frames" / kind / "Camera_0"

    for view in range(world.frames):
        pose = scene.path(view)
        frame = scene.render(pose, intrinsics, world.size)
        save_image(folder("rgb") / f"rgb_{view:05d}.jpg", frame.rgb)
        save_image(folder("depth") / f"depth_{view:05d}.png", centimetres(frame.depth))
        save_image(folder("classSegmentation") / f"classgt_{view:05d}.png", table[frame.classes])
        if world.truth:
            save_truth(root, f"{name}_{view:05d}", frame, pose, intrinsics)
