"""Virtual KITTI 2 on disk: five synthetic drives, each in several variations of view, weather and light."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from dataset.files import Camera, DatasetFiles, View
from dataset.labels import vkitti2_ids
from dataset.reading import read_bgr
from dataset.splits import SHUFFLED_SPLITS, shuffled_split
from utils.errors import UserError

CAMERA = Camera(fx=725.0087, fy=725.0087, u0=620.5, v0=187.0, width=1242, height=375)

# Kind -> (folder, file name); the release's class folder is written in either case.
_FILES = {
    "image": ("rgb", "rgb_{}.jpg"),
    "depth": ("depth", "depth_{}.png"),
    "semseg": ("classSegmentation", "classgt_{}.png"),
}


class VKitti2(DatasetFiles):
    """Virtual KITTI 2, left camera. A sample is named "<scene>/<variation>/<frame>".

    Args:
        root, maps: as in `DatasetFiles`.
        variations: the variations to use, of every scene that has them.
        split_by: what the split shuffles: "frame", as the published experiments did, which puts neighbours of a video
            on both sides, or "scene". Variations of one frame are never separated.
    """

    splits = SHUFFLED_SPLITS
    tree = (
        "Scene<xx>/<variation>/frames/{rgb,depth,classSegmentation}/Camera_0/{rgb_*.jpg,depth_*.png,classgt_*.png}, "
        "under the root or under its folders rgb, depth and classSegmentation (vkitti_2.0.3_{rgb,depth,"
        "classSegmentation}.tar)"
    )

    def __init__(
        self, *, root: Path, maps: Sequence[str], variations: Sequence[str], split_by: Literal["frame", "scene"]
    ) -> None:
        super().__init__(root=root, maps=maps)
        self.split_by = split_by
        # (kind, scene, variation) -> folder of the files
        self._folders: dict[tuple[str, str, str], Path] = {}
        for kind in ("image", *self.maps):
            self._find_folders(kind, variations)

    def _find_folders(self, kind: str, variations: Sequence[str]) -> None:
        name = _FILES[kind][0]
        own = _child(self.root, name)
        base = own if own is not None and any(own.glob("Scene*")) else self.root
        for variation in variations:
            scenes = sorted(path.parent for path in base.glob(f"Scene*/{variation}") if path.is_dir())
            if not scenes:
                raise UserError(
                    f"{base}: no Scene<xx>/{variation} in it, which variations asks for. VKitti2 is expected as "
                    f"{self.tree}"
                )
            for scene in scenes:
                frames = scene / variation / "frames"
                folder = _child(frames, name)
                if folder is None or not (folder / "Camera_0").is_dir():
                    raise UserError(
                        f"{frames}: no {name}/Camera_0 in it (in any case). VKitti2 is expected as {self.tree}"
                    )
                self._folders[kind, scene.name, variation] = folder / "Camera_0"

    def names(self, split: str, *, seed: int) -> list[str]:
        names = [
            f"{scene}/{variation}/{path.stem.removeprefix('rgb_')}"
            for (kind, scene, variation), folder in self._folders.items()
            if kind == "image"
            for path in folder.glob("rgb_*.jpg")
        ]
        return shuffled_split(names, split=split, seed=seed, group=self._group)

    def _group(self, name: str) -> str:
        scene, _, frame = name.split("/")
        return scene if self.split_by == "scene" else f"{scene}/{frame}"

    def image_path(self, name: str, offset: int = 0) -> Path:
        return self.map_path(name, "image")

    def map_path(self, name: str, kind: str) -> Path:
        scene, variation, frame = name.split("/")
        folder = self._folders.get((kind, scene, variation))
        if folder is None:
            raise UserError(f"{self.root}: sample {name} has an image but no folder of its {kind}")
        return folder / _FILES[kind][1].format(frame)

    def camera(self, name: str) -> Camera:
        return CAMERA

    def semseg_ids(self, path: Path, view: View) -> np.ndarray:
        # Resizing pixels of four bytes, to be looked up as one number then, is much faster than those of three.
        bgra = cv2.cvtColor(read_bgr(path, view.name), cv2.COLOR_BGR2BGRA)
        return vkitti2_ids(view.nearest(bgra, path))


def _child(folder: Path, name: str) -> Path | None:
    """The folder in `folder` that has this name, in any case."""
    if not folder.is_dir():
        return None
    return next(
        (path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower() and path.is_dir()), None
    )
