"""The four datasets' formats: which of a scene's pictures each stores, and in which files."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from dataset import cityscapes, nyudv2, synthia, vkitti2
from dataset.demo.classes import INDOOR, OUTDOOR
from dataset.demo.indoor import build_indoor
from dataset.demo.outdoor import build_outdoor
from dataset.demo.rendering import Frame, Scene
from dataset.demo.style import STYLES
from dataset.demo.world import World
from dataset.files import Camera

# Camera steps from one annotated frame of a scene to the next: far enough for a fresh view.
STRIDE = 3
# Largest depth of the centimetre formats, metres; also what they hold in the sky.
FAR_PLANE = 655.35
JPEG_QUALITY = 95


def make_scene(seed: int | Sequence[int], style: str = "source", *, outdoor: bool) -> Scene:
    """The scene that `seed` stands for: a street or a room, in one of the `STYLES`."""
    return (build_outdoor if outdoor else build_indoor)(np.random.default_rng(seed), STYLES[style])


class Format(ABC):
    """A dataset's format."""

    seed: int  # of the dataset's own, so that no two share their scenes
    camera: Camera
    variable: str  # of the environment, which configs find the dataset by
    labels: Mapping[str, int | tuple[int, int, int]]  # what is stored for each class: a number or a colour
    outdoor = True  # whether the scenes are streets

    def write_scene(self, root: Path, world: World, number: int) -> None:
        """Adds one scene to the dataset at `root`."""
        scene = make_scene((world.seed, self.seed, number), world.style, outdoor=self.outdoor)
        size = world.size or (self.camera.width // 4, self.camera.height // 4)
        intrinsics = self.camera.matrix(width=size[0], height=size[1])
        table = np.array([self.labels[name] for name in scene.class_names], dtype=np.uint8)
        for step in self.steps(world.frames):
            pose = scene.path(step)
            frame = scene.render(pose, intrinsics, size)
            stem = self.write(root, world, number, step, frame, table[frame.classes])
            if world.truth:
                exact = {"depth": frame.depth, "normals": frame.normals, "pose": pose, "intrinsics": intrinsics}
                for name, array in exact.items():
                    save(root / "truth" / name / f"{stem}.npy", array)

    def steps(self, frames: int) -> range:
        """The camera steps at which pictures are taken for so many annotated ones."""
        return range(0, STRIDE * frames, STRIDE)

    @abstractmethod
    def write(self, root: Path, world: World, scene: int, step: int, frame: Frame, labels: np.ndarray) -> str:
        """Writes the files of one picture; returns the file name for its exact geometry.

        Args:
            scene: the scene's number.
            step: the camera's.
            frame: what the camera sees.
            labels: uint8 [H,W] or [H,W,3], the classes as the format stores them.
        """

    def write_lists(self, root: Path, world: World) -> None:  # noqa: B027, most datasets have none
        """Writes what the dataset has once for all scenes."""


class NYUDv2(Format):
    """Rooms as the pack of PNG files stores them."""

    seed, camera, variable = 0, nyudv2.CAMERA, "NYUDV2_DIR"
    labels, outdoor = INDOOR, False

    def write(self, root: Path, world: World, scene: int, step: int, frame: Frame, labels: np.ndarray) -> str:
        stem = _nyudv2_name(scene, step // STRIDE)
        save(root / "images" / f"{stem}.png", frame.rgb)
        save(root / "segmentation" / f"{stem}.png", labels)
        save(root / "depth" / f"{stem}.npy", frame.depth.astype(np.float32))
        save(root / "normals" / f"{stem}.png", np.round((frame.normals + 1) / 2 * 255).astype(np.uint8))
        save(root / "edge" / f"{stem}.png", frame.edges.astype(np.uint8) * 255)
        return stem

    def write_lists(self, root: Path, world: World) -> None:
        (root / "gt_sets").mkdir()
        for split in ("train", "val"):
            scenes = [scene for scene in range(world.scenes) if world.split(scene) == split]
            names = [f"{_nyudv2_name(scene, view)}\n" for scene in scenes for view in range(world.frames)]
            (root / "gt_sets" / f"{split}.txt").write_text("".join(names))


def _nyudv2_name(scene: int, view: int) -> str:
    return f"{scene:04d}_{view:02d}"


class Cityscapes(Format):
    """Streets, with the video frames before and after each annotated one.

    As in a shrunken copy of the real files, cameras and disparities hold for 2048x1024 pixels, whatever the size.
    """

    seed, camera, variable = 1, cityscapes.DEFAULT_CAMERA, "CITYSCAPES_DIR"
    labels = {name: values[0] for name, values in OUTDOOR.items()}
    baseline = 0.209313  # metres between the cameras of the real stereo rig
    cities = {"train": "demoburg", "val": "demohaven"}
    first = 19  # the frame of each snippet that is annotated; after it ours annotates 22, 25 ...

    def steps(self, frames: int) -> range:
        return range(STRIDE * frames)

    def write(self, root: Path, world: World, scene: int, step: int, frame: Frame, labels: np.ndarray) -> str:
        split = world.split(scene)
        city = Path(split) / self.cities[split]
        stem = f"{city.name}_{scene:06d}_{self.first - 1 + step:06d}"
        save(root / "leftImg8bit_sequence" / city / f"{stem}_leftImg8bit.png", frame.rgb)
        if step % STRIDE != 1:  # the frame before or after an annotated one
            return stem
        save(root / "leftImg8bit" / city / f"{stem}_leftImg8bit.png", frame.rgb)
        save(root / "gtFine" / city / f"{stem}_gtFine_labelIds.png", labels)
        fx, depth = self.camera.fx, frame.depth
        disparity = np.round(256 * self.baseline * fx / depth) + 1
        disparity[(disparity > 65535) | ~np.isfinite(depth)] = 0  # too near to be stored; the sky has no match
        save(root / "disparity" / city / f"{stem}_disparity.png", disparity.astype(np.uint16))
        intrinsic = {"fx": fx, "fy": self.camera.fy, "u0": self.camera.u0, "v0": self.camera.v0}
        camera = {"extrinsic": {"baseline": self.baseline}, "intrinsic": intrinsic}
        path = root / "camera" / city / f"{stem}_camera.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(camera, indent=4) + "\n")
        return stem


class Synthia(Format):
    """Streets in the layout with `GT/LABELS/`: class in the first channel, object in the second; depth thrice."""

    seed, camera, variable = 2, synthia.CAMERA, "SYNTHIA_DIR"
    labels = {name: values[1] for name, values in OUTDOOR.items()}

    def write(self, root: Path, world: World, scene: int, step: int, frame: Frame, labels: np.ndarray) -> str:
        stem = f"{scene * world.frames + step // STRIDE:07d}"
        objects = np.maximum(frame.object_id, 0)
        channels = np.dstack([labels, objects, np.zeros_like(objects)])
        save(root / "RGB" / f"{stem}.png", frame.rgb)
        save(root / "GT" / "LABELS" / f"{stem}.png", channels.astype(np.uint16))
        save(root / "Depth" / "Depth" / f"{stem}.png", np.dstack([_centimetres(frame.depth)] * 3))
        return stem


class VKitti2(Format):
    """Streets, one short video a scene, all files under one root."""

    seed, camera, variable = 3, vkitti2.CAMERA, "VKITTI2_DIR"
    labels = {name: values[2] for name, values in OUTDOOR.items()}

    def steps(self, frames: int) -> range:
        return range(frames)

    def write(self, root: Path, world: World, scene: int, step: int, frame: Frame, labels: np.ndarray) -> str:
        video = f"Scene{scene + 1:02d}"
        frames = root / video / "15-deg-left" / "frames"
        save(frames / "rgb" / "Camera_0" / f"rgb_{step:05d}.jpg", frame.rgb)
        save(frames / "depth" / "Camera_0" / f"depth_{step:05d}.png", _centimetres(frame.depth))
        save(frames / "classSegmentation" / "Camera_0" / f"classgt_{step:05d}.png", labels)
        return f"{video}_{step:05d}"


FORMATS = {"nyudv2": NYUDv2(), "cityscapes": Cityscapes(), "synthia": Synthia(), "vkitti2": VKitti2()}


def save(path: Path, array: np.ndarray) -> None:
    """Writes any array as .npy; [H,W] or RGB [H,W,3] of 8 or 16 bit as .png or .jpg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
        return
    if array.ndim == 3:
        array = np.ascontiguousarray(array[..., ::-1])
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, array, options)[1].tobytes())


def _centimetres(depth: np.ndarray) -> np.ndarray:
    """Depth in metres as 16 bit centimetres; all beyond the far plane, sky included, is on it."""
    return np.round(np.minimum(depth, FAR_PLANE) * 100).astype(np.uint16)
