"""Cityscapes on disk: labelled street images, disparity from stereo, and the 30-frame videos around them."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset.files import Camera, DatasetFiles, View, measured
from dataset.reading import image_size, read_json, read_uint16
from utils.errors import UserError

# Where a frame has no camera file.
DEFAULT_CAMERA = Camera(fx=2262.52, fy=2265.3017905988554, u0=1096.98, v0=513.137, width=2048, height=1024)

IMAGE_SUFFIX = "_leftImg8bit.png"
LABEL_SUFFIX = "_gtFine_labelIds.png"


class Cityscapes(DatasetFiles):
    """Cityscapes. A sample is named "<split>/<city>/<city>_<recording>_<frame>".

    Where `leftImg8bit_small/<split>` (`leftImg8bit_sequence_small/<split>`) holds images at least as large as the
    samples, they are read instead of those at 2048x1024.

    Args:
        root, maps: as in `DatasetFiles`.
        width, height: of the samples before any crop, to decide whether the small images are large enough.
        sequences: whether images come from the video sequences.
        annotated_only: of the sequences, whether only frames with labels are samples; else all frames are.
    """

    tree = (
        "leftImg8bit/<split>/<city>/*_leftImg8bit.png (leftImg8bit_trainvaltest.zip), "
        "gtFine/<split>/<city>/*_gtFine_labelIds.png (gtFine_trainvaltest.zip), "
        "disparity/<split>/<city>/*_disparity.png (disparity_trainvaltest.zip), "
        "camera/<split>/<city>/*_camera.json (camera_trainvaltest.zip)"
    )

    def __init__(
        self, *, root: Path, maps: Sequence[str], width: int, height: int, sequences: bool, annotated_only: bool
    ) -> None:
        super().__init__(root=root, maps=maps)
        for kind in self.maps:
            self._require({"semseg": "gtFine", "depth": "disparity"}[kind])
        self.size = (width, height)
        self.sequences = sequences
        self.annotated_only = annotated_only
        self._folders: dict[tuple[str, str], Path] = {}  # (folder of full-size images, split) -> the folder read
        self._sequence_frames: set[str] = set()
        self._annotated: list[str] | None = None  # sorted, once frames without labels may be samples

    def names(self, split: str, *, seed: int) -> list[str]:
        parts = ("train", "val") if split == "all" else (split,)
        if not self.sequences:
            return sorted(name for part in parts for name in self._images("leftImg8bit", part))
        frames = [name for part in parts for name in self._images("leftImg8bit_sequence", part)]
        self._sequence_frames = set(frames)
        bases = ("leftImg8bit", "leftImg8bit_small")
        present = [part for part in parts if any((self.root / base / part).is_dir() for base in bases)]
        singles = [name for part in present for name in self._images("leftImg8bit", part)]
        if self.annotated_only and singles:
            return sorted(singles)
        annotated = sorted(name for part in parts for name in _listed(self.root / "gtFine" / part, LABEL_SUFFIX))
        if self.annotated_only:
            return [name for name in annotated if name in self._sequence_frames]
        self._annotated = annotated
        return sorted(frames + [name for name in singles if name not in self._sequence_frames])

    def image_path(self, name: str, offset: int = 0) -> Path:
        name = _shifted(name, offset)
        split, _, rest = name.partition("/")
        base = "leftImg8bit_sequence" if name in self._sequence_frames else "leftImg8bit"
        return self._folder(base, split) / f"{rest}{IMAGE_SUFFIX}"

    def has_frames(self, name: str, offsets: Sequence[int]) -> bool:
        return all(not offset or _shifted(name, offset) in self._sequence_frames for offset in offsets)

    def is_annotated(self, name: str) -> bool:
        return self._annotated is None or self._nearest_annotated(name) == name

    def map_path(self, name: str, kind: str) -> Path | None:
        if kind == "semseg":
            return self.root / "gtFine" / f"{name}{LABEL_SUFFIX}" if self.is_annotated(name) else None
        path = self.root / "disparity" / f"{name}_disparity.png"
        return path if self.is_annotated(name) or path.exists() else None

    def camera(self, name: str) -> Camera:
        """From the frame's camera file, else from that of the nearest labelled frame of its recording."""
        path = self.camera_path(name)
        if path is None:
            return DEFAULT_CAMERA
        content = read_json(path, name)
        try:
            inner = content["intrinsic"]
            fx, fy, u0, v0 = (float(inner[key]) for key in ("fx", "fy", "u0", "v0"))
            baseline = float(content["extrinsic"]["baseline"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: not a Cityscapes camera file ({error!r}), needed for sample {name}; unpack it again"
            ) from error
        return Camera(fx, fy, u0, v0, DEFAULT_CAMERA.width, DEFAULT_CAMERA.height, baseline)

    def camera_path(self, name: str) -> Path | None:
        for frame in (name, self._nearest_annotated(name)):
            if frame is not None and self._camera_path(frame).exists():
                return self._camera_path(frame)
        return None

    def depth(self, path: Path, view: View) -> np.ndarray:
        """baseline * fx / d of the disparity d = (stored - 1) / 256 pixels; stored 0 and 1 are no measurements."""
        camera = self.camera(view.name)
        if camera.baseline is None:
            raise UserError(
                f"{self._camera_path(view.name)}: no such file; depth from the disparity of sample {view.name} needs "
                "its baseline, unpack camera_trainvaltest.zip"
            )
        disparity = view.nearest(read_uint16(path, view.name), path).astype(np.float32)
        disparity -= 1
        with np.errstate(divide="ignore"):
            return measured(np.divide(np.float32(camera.baseline * camera.fx * 256), disparity, out=disparity))

    def _camera_path(self, name: str) -> Path:
        return self.root / "camera" / f"{name}_camera.json"

    def _nearest_annotated(self, name: str) -> str | None:
        """The labelled frame of the same recording nearest in time, itself if it has labels."""
        names = self._annotated or []
        position = bisect_left(names, name)  # names sort by recording, then by frame number
        recording, number = _parsed(name)
        near = [_parsed(other) for other in names[max(position - 1, 0) : position + 1]]
        numbers = [other for prefix, other in near if prefix == recording]
        return _shifted(name, min(numbers, key=lambda other: abs(other - number)) - number) if numbers else None

    def _images(self, base: str, split: str) -> list[str]:
        return _listed(self._folder(base, split), IMAGE_SUFFIX)

    def _folder(self, base: str, split: str) -> Path:
        """The folder to read a split's images from: `base`, or its small version."""
        if (base, split) not in self._folders:
            self._folders[base, split] = self._chosen_folder(base, split)
        return self._folders[base, split]

    def _chosen_folder(self, base: str, split: str) -> Path:
        full, small = self.root / base / split, self.root / f"{base}_small" / split
        first = next(iter(_listed(small, IMAGE_SUFFIX)), None)
        if first is not None:
            path = small.parent / f"{first}{IMAGE_SUFFIX}"
            width, height = image_size(path, first)
            if not full.is_dir() or (width >= self.size[0] and height >= self.size[1]):
                self.images_are_resampled = True
                return small
        if not full.is_dir() and base == "leftImg8bit_sequence":
            raise UserError(
                f"{full}: no such folder. load_sequences reads neighbouring video frames from there; unpack "
                "leftImg8bit_sequence_trainvaltest.zip into the dataset's folder"
            )
        return self._require(f"{base}/{split}")


def _listed(folder: Path, suffix: str) -> list[str]:
    """Sorted names of the files `<folder>/<city>/<name><suffix>`: "<split>/<city>/<name>"."""
    return sorted(
        f"{folder.name}/{path.parent.name}/{path.name.removesuffix(suffix)}" for path in folder.glob(f"*/*{suffix}")
    )


def _parsed(name: str) -> tuple[str, int]:
    """Recording and frame number of a name."""
    recording, _, number = name.rpartition("_")
    return recording, int(number)


def _shifted(name: str, offset: int) -> str:
    """The name of the frame `offset` frames after another of the same recording."""
    if not offset:
        return name
    recording, number = _parsed(name)
    return f"{recording}_{number + offset:06d}"
