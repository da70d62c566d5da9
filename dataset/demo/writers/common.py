"""What the four writers share: the settings of a world, its scenes and frames, and plain file output."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from dataset.demo.scene import Frame, Scene, make_scene
from dataset.demo.style import STYLES
from dataset.files import Camera

T = TypeVar("T")

# Camera steps from one annotated frame of a scene to the next: far enough for a fresh view.
STRIDE = 3
# The street is long enough for this many annotated frames.
MAX_FRAMES = 10
MIN_SIDE = 16
# Largest depth of the centimetre formats, metres; also what they hold in the sky.
FAR_PLANE = 655.35
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class World:
    """Settings of one generated dataset; the same settings give the same files, bit for bit.

    Args:
        scenes: number of scenes, training and validation together.
        val_scenes: how many of them, the last ones, form the validation split of datasets that have one.
        frames: annotated frames of each scene.
        size: (width, height) of every image in pixels.
        style: "source" or "target".
        seed: decides everything else.
        truth: also writes exact float maps and poses to `<root>/truth/`.
    """

    scenes: int
    val_scenes: int
    frames: int
    size: tuple[int, int]
    style: str
    seed: int
    truth: bool = False

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ValueError(f"scenes: must be at least 1, got {self.scenes}")
        if not 0 <= self.val_scenes < self.scenes:
            raise ValueError(f"val_scenes: must be 0..{self.scenes - 1} of {self.scenes} scenes, got {self.val_scenes}")
        if not 1 <= self.frames <= MAX_FRAMES:
            raise ValueError(f"frames: must be 1..{MAX_FRAMES} per scene, got {self.frames}")
        if min(self.size) < MIN_SIDE:
            raise ValueError(f"size: width and height must be at least {MIN_SIDE}, got {self.size[0]}x{self.size[1]}")
        if self.style not in STYLES:
            raise ValueError(f"style: must be one of {', '.join(STYLES)}, got {self.style!r}")
        if self.seed < 0:
            raise ValueError(f"seed: must not be negative, got {self.seed}")

    def intrinsics(self, camera: Camera) -> np.ndarray:
        """Intrinsics [3,3] of a dataset's camera for images of this world's size."""
        width, height = self.size
        return camera.matrix(width=width, height=height)

    def split(self, scene: int) -> str:
        """The split a scene number belongs to: train or val."""
        return "train" if scene < self.scenes - self.val_scenes else "val"


def build_scene(world: World, dataset: int, number: int, *, outdoor: bool) -> Scene:
    """Scene `number` of a world; `dataset` is a number of each dataset's own, so that no two share their scenes."""
    return make_scene((world.seed, dataset, number), world.style, outdoor=outdoor)


def each_scene(write: Callable[[int], T], world: World, *, workers: int, label: str | None) -> list[T]:
    """Calls `write` with every scene number, in `workers` processes; results in order. `label` shows a progress bar."""
    numbers = range(world.scenes)
    # None: no bar either where nobody watches, as in a log file.
    bar = {"total": world.scenes, "desc": label, "unit": "scene", "disable": True if label is None else None}
    if workers <= 1:
        return [write(number) for number in tqdm(numbers, **bar)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(tqdm(pool.map(write, numbers), **bar))


def save_image(path: Path, image: np.ndarray) -> None:
    """Writes [H,W] or RGB [H,W,3], 8 or 16 bit, as PNG or JPEG by suffix."""
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., ::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, image, options)[1].tobytes())


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes a .npy file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def save_truth(root: Path, stem: str, frame: Frame, pose: np.ndarray, intrinsics: np.ndarray) -> None:
    """Writes exact geometry, float64, to `truth/{depth,normals,pose,intrinsics}/<stem>.npy`.

    Depth [H,W] is in metres along the optical axis, infinite in the sky; normals [H,W,3] are x right, y down, z towards
    the camera, zero in the sky; the pose [4,4] maps camera points (z forward) to the world.
    """
    maps = {"depth": frame.depth, "normals": frame.normals, "pose": pose, "intrinsics": intrinsics}
    for name, array in maps.items():
        save_array(root / "truth" / name / f"{stem}.npy", array)


def centimetres(depth: np.ndarray) -> np.ndarray:
    """Depth in metres as 16 bit centimetres; all beyond the far plane, sky included, is on it."""
    return np.round(np.minimum(depth, FAR_PLANE) * 100).astype(np.uint16)
