"""SYNTHIA (RAND-CITYSCAPES) on disk: 9,400 synthetic street images with labels and depth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset.files import Camera, DatasetFiles, View
from dataset.labels import byte_ids
from dataset.reading import read_unchanged
from dataset.splits import SHUFFLED_SPLITS, shuffled_split

CAMERA = Camera(fx=532.740352, fy=532.740352, u0=640.0, v0=380.0, width=1280, height=760)


class Synthia(DatasetFiles):
    """SYNTHIA. A sample is named by its number, "0000000". Its labels may lie in GT/LABELS, parsed_LABELS or GT."""

    splits = SHUFFLED_SPLITS
    tree = (
        "RGB/*.png, GT/LABELS/*.png (or parsed_LABELS/*.png or GT/*.png) and Depth/Depth/*.png (or Depth/*.png) "
        "of SYNTHIA_RAND_CITYSCAPES.rar"
    )

    def __init__(self, *, root: Path, maps: Sequence[str]) -> None:
        super().__init__(root=root, maps=maps)
        self._images = self._require("RGB")
        flat = ("GT",) if any((root / "GT").glob("*.png")) else ()
        alternatives = {"semseg": ("GT/LABELS", "parsed_LABELS", *flat), "depth": ("Depth/Depth", "Depth")}
        self._folders = {kind: self._require(*alternatives[kind]) for kind in self.maps}

    def names(self, split: str, *, seed: int) -> list[str]:
        return shuffled_split([path.stem for path in self._images.glob("*.png")], split=split, seed=seed)

    def image_path(self, name: str, offset: int = 0) -> Path:
        return self._images / f"{name}.png"

    def map_path(self, name: str, kind: str) -> Path:
        return self._folders[kind] / f"{name}.png"

    def camera(self, name: str) -> Camera:
        return CAMERA

    def semseg_ids(self, path: Path, view: View) -> np.ndarray:
        stored = view.nearest(read_unchanged(path, view.name), path)
        # The class is the file's first channel, red, which OpenCV puts last; the others number instances.
        return byte_ids(stored if stored.ndim == 2 else stored[..., 2])
