"""Writes streets in the format of SYNTHIA (RAND_CITYSCAPES), in either of its two circulating layouts."""

from functools import partial
from pathlib import Path

import numpy as np

from dataset.demo.scene import OUTDOOR_CLASSES
from dataset.demo.writers.common import (
    STRIDE,
    World,
    build_scene,
    centimetres,
    each_scene,
    save_image,
    save_truth,
)
from dataset.synthia import CAMERA

SEED = 2
LABELS = {
    "sky": 1,
    "building": 2,
    "road": 3,
    "sidewalk": 4,
    "fence": 5,
    "tree": 6,
    "bush": 6,
    "pole": 7,
    "car": 8,
    "traffic sign": 9,
    "person": 10,
    "traffic light": 15,
    "terrain": 16,
    "bus": 19,
    "wall": 21,
}


def write_synthia(
    root: Path, world: World, *, parsed: bool = False, workers: int = 1, label: str | None = None
) -> None:
    """Fills the empty folder `root`.

    Args:
        parsed: labels in `parsed_LABELS/` and depth in `Depth/`, each of one channel, instead of `GT/LABELS/` (class
            in the first channel, object number in the second) and `Depth/Depth/` (three equal channels).
        label: text of the progress bar; None for none.
    """
    each_scene(partial(_write_scene, root, world, parsed), world, workers=workers, label=label)


def _write_scene(root: Path, world: World, parsed: bool, number: int) -> None:
    scene = build_scene(world, SEED, number, outdoor=True)
    intrinsics = world.intrinsics(CAMERA)
    table = np.array([LABELS[name] for name in OUTDOOR_CLASSES], dtype=np.uint16)
    for view in range(world.frames):
        pose = scene.path(STRIDE * view)
        frame = scene.render(pose, intrinsics, world.size)
        name = f"{number * world.frames + view:07d}"
        save_image(root / "RGB" / f"{name}.png", frame.rgb)
        labels, depth = table[frame.classes], centimetres(frame.depth)
        if parsed:
            save_image(root / "parsed_LABELS" / f"{name}.png", labels)
            save_image(root / "Depth" / f"{name}.png", depth)
        else:
            objects = np.maximum(frame.object_id, 0).astype(np.uint16)
            save_image(root / "GT" / "LABELS" / f"{name}.png", np.dstack([labels, objects, np.zeros_like(labels)]))
            save_image(root / "Depth" / "Depth" / f"{name}.png", np.dstack([depth] * 3))
        if world.truth:
            save_truth(root, name, frame, pose, intrinsics)
