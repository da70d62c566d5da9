"""Writes rooms in the format of NYUDv2: two file packs circulate, one of PNG images, one of JPEG images and arrays."""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from dataset.demo.scene import INDOOR_CLASSES
from dataset.demo.writers.common import (
    STRIDE,
    World,
    build_scene,
    each_scene,
    save_array,
    save_image,
    save_truth,
)
from dataset.nyudv2 import CAMERA

SEED = 0
# Class numbers of the 40-class set, 1-based as the label files store them (0 is void).
LABELS = {
    "wall": 1,
    "floor": 2,
    "cabinet": 3,
    "sofa": 6,
    "table": 7,
    "door": 8,
    "window": 9,
    "bookshelf": 10,
    "picture": 11,
    "curtain": 16,
    "floor mat": 20,
    "ceiling": 22,
    "box": 29,
    "person": 31,
    "lamp": 35,
    "otherstructure": 38,
    "otherprop": 40,
}
Pack = Literal["png", "npy"]


def write_nyudv2(root: Path, world: World, *, pack: Pack = "png", workers: int = 1, label: str | None = None) -> None:
    """Fills the empty folder `root`.

    Args:
        pack: "png" has .png images, normals and edges; "npy" has .jpg images, .npy normals and edges.
        label: text of the progress bar; None for none.
    """
    names = each_scene(partial(_write_scene, root, world, pack), world, workers=workers, label=label)
    (root / "gt_sets").mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        lines = [f"{name}\n" for scene, part in enumerate(names) if world.split(scene) == split for name in part]
        (root / "gt_sets" / f"{split}.txt").write_text("".join(lines))


def _write_scene(root: Path, world: World, pack: Pack, number: int) -> list[str]:
    scene = build_scene(world, SEED, number, outdoor=False)
    intrinsics = world.intrinsics(CAMERA)
    table = np.array([LABELS[name] for name in INDOOR_CLASSES], dtype=np.uint8)
    names = []
    for view in range(world.frames):
        pose = scene.path(STRIDE * view)
        frame = scene.render(pose, intrinsics, world.size)
        name = f"{number:04d}_{view:02d}"
        save_image(root / "segmentation" / f"{name}.png", table[frame.classes])
        save_array(root / "depth" / f"{name}.npy", frame.depth.astype(np.float32))
        if pack == "png":
            save_image(root / "images" / f"{name}.png", frame.rgb)
            save_image(root / "normals" / f"{name}.png", np.round((frame.normals + 1) / 2 * 255).astype(np.uint8))
            save_image(root / "edge" / f"{name}.png", frame.edges.astype(np.uint8) * 255)
        else:
            save_image(root / "images" / f"{name}.jpg", frame.rgb)
            save_array(root / "normals" / f"{name}.npy", frame.normals.astype(np.float32))
            save_array(root / "edge" / f"{name}.npy", frame.edges.astype(np.float32))
        if world.truth:
            save_truth(root, name, frame, pose, intrinsics)
        names.append(name)
    return names
