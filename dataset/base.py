"""The sample that every dataset gives, and the dataset that cuts it from arrays.

H x W is the size after resize and crop; `<o>` an offset in video frames, `<k>` a power of two.

| key              | dtype, shape                | meaning                                                            |
|------------------|-----------------------------|--------------------------------------------------------------------|
| `image`          | float32 [3,H,W]             | RGB in [0,1] after colour jitter: the network's input              |
| `semseg`         | int64 [H,W]                 | train ids, 250 = ignore; all 250 for a sample without labels       |
| `depth`          | float32 [1,H,W]             | **metres** along the optical axis; 0 where not measured            |
| `depth_mask`     | bool [1,H,W]                | where depth is measured: finite and greater than 0                 |
| `normals`        | float32 [3,H,W]             | nyudv2: unit vectors, x right, y down, z towards the camera        |
| `normals_mask`   | bool [1,H,W]                | nyudv2: where the stored normal is valid; `normals` is 0 elsewhere |
| `edges`          | int64 [H,W]                 | nyudv2: 1 on an edge, else 0                                       |
| `intrinsics`     | float32 [3,3]               | of this very image, in pixels: after resize, crop and flip         |
| `frame_<o>`      | float32 [3,H,W]             | video: the frame `<o>` after this one, without jitter              |
| `frame_<o>_aug`  | float32 [3,H,W]             | video: the same with the sample's jitter                           |
| `frame_0_s<k>`   | float32 [3,H/2^k,W/2^k]     | video: this frame without jitter, shrunk                           |
| `frame_<o>_pose` | float32 [3,H',W']           | video: as `frame_<o>_aug`, of the whole resized image: flipped too |
| `index`          | int                         | position in the dataset                                            |
| `filename`       | str                         | the sample's name, e.g. "train/aachen/aachen_000000_000019"        |

`semseg`, `depth`, `normals` and `edges` are there when a task needs them, the video frames when frames are loaded,
`frame_<o>_pose` when `uncropped_frames` are asked for; H' x W' is the size before the crop.

The far plane of the synthetic datasets (65535 cm, the sky) counts as measured; losses and metrics have their own range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dataset.maps import NewArray, map_kind
from dataset.transform import SampleTransform, Transform, rgb_to_planes

Sample = dict[str, Tensor | int | str]
Key = int | tuple[int, int]  # index, or (epoch, index)
Arrays = Mapping[str, np.ndarray]


def _new_array(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.empty(shape, dtype)


class Source(Protocol):
    """Where a dataset gets its arrays; what they are is documented at `FileSource.load`."""

    names: list[str]
    frames: tuple[int, ...]
    maps: tuple[str, ...]

    def load(self, index: int) -> dict[str, np.ndarray]: ...


@dataclass(eq=False, kw_only=True)
class DenseDataset(Dataset):
    """Samples as documented on top of this file.

    What is random about a sample is a pure function of (seed, epoch, index), whichever process draws it and when.

    Args:
        source: the resized arrays of each sample.
        transform: how samples are cut.
        seed: of crop, flip and jitter.
        num_scales: number of scales of the video frame at offset 0, full size included.
        uncropped_frames: also give every video frame before the crop, for a pose network that shall see more.
    """

    source: Source
    transform: Transform
    seed: int
    num_scales: int = 1
    uncropped_frames: bool = False

    def __post_init__(self) -> None:
        if self.source.frames and min(self.transform.size) >> (self.num_scales - 1) == 0:
            raise ValueError(f"num_scales {self.num_scales} shrinks a sample of {self.transform.size} to nothing")

    def filename(self, index: int) -> str:
        """The name of a sample."""
        return self.source.names[index]

    def __len__(self) -> int:
        return len(self.source.names)

    def __getitem__(self, key: Key) -> Sample:
        """One sample, by index (epoch 0) or by (epoch, index).

        Raises:
            IndexError: There is no such sample.
            UserError: A file of the sample is missing, truncated, or does not fit the others.
        """
        return self.load(key)

    def load(self, key: Key, new: NewArray = _new_array) -> Sample:
        """`[key]`, its tensors in the arrays that `new` gives for their names, shapes and types."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of a dataset of {len(self)} samples")
        transform = self.transform.draw(sample_rng(self.seed, epoch, index))
        arrays = self.source.load(index)
        sample: Sample = {"index": index, "filename": self.filename(index)}

        def add(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
            array = new(name, shape, dtype)
            sample[name] = torch.from_numpy(array)
            return array

        add("intrinsics", (3, 3), np.float32)[:] = transform.intrinsics(arrays["intrinsics"])
        self._add_images(arrays, transform, add)
        for kind in self.source.maps:
            map_kind(kind).add(kind, arrays[kind], transform, add)
        return sample

    def _add_images(self, arrays: Arrays, transform: SampleTransform, add: NewArray) -> None:
        def add_image(name: str, rgb: np.ndarray) -> np.ndarray:
            return rgb_to_planes(rgb, add(name, (3, *rgb.shape[:2]), np.float32))

        target = transform.rgb(arrays["frame_0"])
        image = add_image("image", transform.jittered(target))
        for offset in self.source.frames:
            frame = transform.rgb(arrays[f"frame_{offset}"]) if offset else target
            add_image(f"frame_{offset}", frame)
            if offset:
                add_image(f"frame_{offset}_aug", transform.jittered(frame))
            else:
                add("frame_0_aug", image.shape, np.float32)[:] = image
            if self.uncropped_frames:
                whole = transform.flipped(arrays[f"frame_{offset}"])
                add_image(f"frame_{offset}_pose", transform.jittered(whole))
        for scale in range(1, self.num_scales if self.source.frames else 1):
            size = (transform.width >> scale, transform.height >> scale)
            add_image(f"frame_0_s{scale}", cv2.resize(target, size, interpolation=cv2.INTER_AREA))


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample."""
    # The leading 1 keeps these streams apart from the sampler's: SeedSequence does not tell (s, e) from (s, e, 0).
    return np.random.default_rng((1, seed % 2**32, epoch, index))
