"""Tiny datasets in the exact formats of the real ones, random values, and what was written to compare with."""

import json
from pathlib import Path

import cv2
import numpy as np

from utils.config.schema.data import DatasetConfig

BASELINE, FX, FY, U0, V0 = 0.2, 2000.0, 2100.0, 1000.0, 500.0


def write_image(path: Path, array: np.ndarray) -> np.ndarray:
    """Write [H,W] or [H,W,3] (given in R, G, B order), 8 or 16 bit; gives `array` back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = array if array.ndim == 2 else np.ascontiguousarray(array[..., ::-1])
    assert cv2.imwrite(str(path), stored, [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else [])
    return array


def smooth_rgb(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_cityscapes(
    root: Path,
    *,
    names: tuple[str, ...] = ("train/aachen/aachen_000000_000019", "val/bonn/bonn_000000_000019"),
    size: tuple[int, int] = (64, 32),
    image_folder: str = "leftImg8bit",
    maps: bool = True,
    offsets: tuple[int, ...] = (),
    sequence_folder: str = "leftImg8bit_sequence",
) -> dict[str, dict[str, np.ndarray]]:
    """Images, and with `maps` labels, disparity and cameras; with `offsets` the video frames at these offsets."""
    rng = np.random.default_rng(0)
    width, height = size
    written = {}
    for name in names:
        arrays = {"image": write_image(root / image_folder / f"{name}_leftImg8bit.png", smooth_rgb(rng, width, height))}
        recording, _, number = name.rpartition("_")
        for offset in offsets:
            path = root / sequence_folder / f"{recording}_{int(number) + offset:06d}_leftImg8bit.png"
            frame = arrays["image"] if offset == 0 else smooth_rgb(rng, width, height)
            arrays[f"frame_{offset}"] = write_image(path, frame)
        if maps:
            ids = rng.integers(0, 34, (height, width), dtype=np.uint8)
            arrays["semseg"] = write_image(root / "gtFine" / f"{name}_gtFine_labelIds.png", ids)
            disparity = rng.integers(0, 30000, (height, width), dtype=np.uint16)
            disparity[0, :2] = (0, 1)
            arrays["disparity"] = write_image(root / "disparity" / f"{name}_disparity.png", disparity)
            write_camera(root / "camera" / f"{name}_camera.json")
        written[name] = arrays
    return written


def write_camera(path: Path, fx: float = FX) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    intrinsic = {"fx": fx, "fy": FY, "u0": U0, "v0": V0}
    path.write_text(json.dumps({"extrinsic": {"baseline": BASELINE}, "intrinsic": intrinsic}))


def write_synthia(
    root: Path,
    *,
    count: int = 10,
    size: tuple[int, int] = (64, 38),
    labels: str = "GT/LABELS",
    depth: str = "Depth/Depth",
    one_channel: bool = False,
) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    width, height = size
    written = {}
    for number in range(count):
        name = f"{number:07d}"
        ids = rng.integers(0, 23, (height, width), dtype=np.uint16)
        # the second channel numbers instances, far beyond 8 bit
        stored = ids if one_channel else np.stack([ids, rng.integers(0, 65536, ids.shape, np.uint16), ids * 0], 2)
        write_image(root / labels / f"{name}.png", stored)
        centimetres = rng.integers(1, 65536, (height, width), dtype=np.uint16)
        centimetres[0, :2] = (0, 65535)
        write_image(root / depth / f"{name}.png", centimetres if one_channel else np.stack([centimetres] * 3, 2))
        image = write_image(root / "RGB" / f"{name}.png", smooth_rgb(rng, width, height))
        written[name] = {"image": image, "semseg": ids, "depth": centimetres}
    return written


VKITTI2_RGB = (
    (210, 0, 200), (90, 200, 255), (0, 199, 0), (90, 240, 0), (140, 140, 140), (100, 60, 100), (250, 100, 255),
    (255, 255, 0), (200, 200, 0), (255, 130, 0), (80, 80, 80), (160, 60, 60), (255, 127, 80), (0, 139, 139),
)  # fmt: skip


def write_vkitti2(
    root: Path,
    *,
    scenes: tuple[str, ...] = ("Scene01", "Scene02"),
    variations: tuple[str, ...] = ("15-deg-left",),
    frames: int = 5,
    size: tuple[int, int] = (62, 19),
    separate: bool = False,
    class_folder: str = "classSegmentation",
) -> dict[str, dict[str, np.ndarray]]:
    """`separate` puts each kind under its own folder of the root."""
    rng = np.random.default_rng(2)
    width, height = size
    written = {}

    def path(kind: str, scene: str, variation: str, file: str) -> Path:
        base = root / kind if separate else root
        return base / scene / variation / "frames" / kind / "Camera_0" / file

    for scene in scenes:
        for variation in variations:
            for frame in range(frames):
                image = smooth_rgb(rng, width, height)
                write_image(path("rgb", scene, variation, f"rgb_{frame:05d}.jpg"), image)
                centimetres = rng.integers(1, 65536, (height, width), dtype=np.uint16)
                centimetres[0, :2] = (0, 65535)
                write_image(path("depth", scene, variation, f"depth_{frame:05d}.png"), centimetres)
                ids = rng.integers(0, 14, (height, width))
                colors = np.array(VKITTI2_RGB, np.uint8)[ids]
                colors[1, 0] = (1, 2, 3)  # a colour of no class
                write_image(path(class_folder, scene, variation, f"classgt_{frame:05d}.png"), colors)
                written[f"{scene}/{variation}/{frame:05d}"] = {"image": image, "semseg": ids, "depth": centimetres}
    return written


def write_nyudv2(
    root: Path,
    *,
    train: tuple[str, ...] = ("0002", "0001"),
    val: tuple[str, ...] = ("0003",),
    size: tuple[int, int] = (64, 48),
    arrays: bool = False,
) -> dict[str, dict[str, np.ndarray]]:
    """`arrays` writes the pack of .jpg images and .npy maps, else that of .png files."""
    rng = np.random.default_rng(3)
    width, height = size
    (root / "gt_sets").mkdir(parents=True)
    for folder in ("depth", "normals", "edge"):
        (root / folder).mkdir()
    written = {}
    for split, names in (("train", train), ("val", val)):
        (root / "gt_sets" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            image = smooth_rgb(rng, width, height)
            write_image(root / "images" / f"{name}{'.jpg' if arrays else '.png'}", image)
            ids = write_image(root / "segmentation" / f"{name}.png", rng.integers(0, 41, (height, width), np.uint8))
            depth = rng.uniform(0.7, 10, (height, width)).astype(np.float32)
            depth[0, :3] = (0, np.nan, np.inf)
            np.save(root / "depth" / f"{name}.npy", depth)
            normals = rng.normal(size=(height, width, 3))
            normals /= np.linalg.norm(normals, axis=2, keepdims=True)
            edges = rng.random((height, width)) < 0.1
            if arrays:
                normals[:2] = 0  # the border without normals
                np.save(root / "normals" / f"{name}.npy", normals.astype(np.float32))
                np.save(root / "edge" / f"{name}.npy", edges.astype(np.float32))
            else:
                pixels = np.rint((normals + 1) * 127.5).astype(np.uint8)
                pixels[:2] = 127
                write_image(root / "normals" / f"{name}.png", pixels)
                write_image(root / "edge" / f"{name}.png", edges.astype(np.uint8) * 255)
            written[name] = {"image": image, "semseg": ids, "depth": depth, "normals": normals, "edges": edges}
    return written


def write_datasets(
    root: Path, *, streets: tuple[str, ...], train: tuple[str, ...] = ("0002", "0001"), val: tuple[str, ...] = ("0003",)
) -> Path:
    """All four datasets, each in a folder of its name.

    Args:
        streets: samples of Cityscapes, each with the frames before and after it.
        train, val: samples of NYUDv2.
    """
    write_cityscapes(root / "cityscapes", names=streets, offsets=(-1, 0, 1))
    write_synthia(root / "synthia")
    write_vkitti2(root / "vkitti2")
    write_nyudv2(root / "nyudv2", train=train, val=val)
    return root


def config(dataset: str, root: Path, n_classes: int, size: tuple[int, int], **options: object) -> DatasetConfig:
    """The dataset's config section, for samples of size (width, height)."""
    return DatasetConfig(dataset=dataset, path=str(root), n_classes=n_classes, width=size[0], height=size[1], **options)
