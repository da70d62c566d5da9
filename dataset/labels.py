"""Label sets for semantic segmentation: which of a dataset's ids make which class, their names and their colours.

A set is written as class name -> dataset ids, in the order of the train ids. Ids in no class are ignored. Sets of two
datasets with equally many classes agree class by class, which domain adaptation from one to the other needs.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from utils.constants import IGNORE_INDEX

Classes = Mapping[str, tuple[int, ...]]  # name -> ids
Colors = Mapping[str, tuple[int, int, int]]  # name -> RGB

_THIN = ("wall", "fence", "pole")


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The classes of a dataset, and how its ids become theirs.

    Args:
        names: the class names, by train id.
        colors: uint8 [C,3] RGB, by train id.
        table: uint8 [256], dataset id -> train id, 250 for ids in no class.
    """

    names: tuple[str, ...]
    colors: np.ndarray
    table: np.ndarray

    @property
    def subsets(self) -> dict[str, tuple[int, ...]]:
        """Train ids over which a second mIoU is usual: of the 16 classes of SYNTHIA, the 13 that are not thin."""
        if len(self.names) != 16:
            return {}
        return {"13": tuple(i for i, name in enumerate(self.names) if name not in _THIN)}

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Train ids, uint8 [H,W], of dataset ids, [H,W] of any integer type; ids above 254 are in no class."""
        return cv2.LUT(np.ascontiguousarray(byte_ids(ids)), self.table)


def byte_ids(ids: np.ndarray) -> np.ndarray:
    """Dataset ids as uint8; those that do not fit become 255, which is in no class."""
    if ids.dtype == np.uint8:
        return ids
    if ids.dtype == np.uint16:
        return np.minimum(ids, 255).astype(np.uint8)
    return np.where((ids < 0) | (ids > 255), 255, ids).astype(np.uint8)


def _without(classes: Classes, *names: str) -> Classes:
    return {name: ids for name, ids in classes.items() if name not in names}


_CITYSCAPES_19: Classes = {
    "road": (7,), "sidewalk": (8,), "building": (11,), "wall": (12,), "fence": (13,), "pole": (17,),
    "traffic light": (19,), "traffic sign": (20,), "vegetation": (21,), "terrain": (22,), "sky": (23,),
    "person": (24,), "rider": (25,), "car": (26,), "truck": (27,), "bus": (28,), "train": (31,),
    "motorcycle": (32,), "bicycle": (33,),
}  # fmt: skip
_CITYSCAPES_16 = _without(_CITYSCAPES_19, "terrain", "truck", "train")
_SYNTHIA_16: Classes = {
    "road": (3,), "sidewalk": (4,), "building": (2,), "wall": (21,), "fence": (5,), "pole": (7,),
    "traffic light": (15,), "traffic sign": (9,), "vegetation": (6,), "sky": (1,), "person": (10,), "rider": (17,),
    "car": (8,), "bus": (19,), "motorcycle": (12,), "bicycle": (11,),
}  # fmt: skip

# The 8 classes shared with Virtual KITTI 2, where a van, a truck or a car is a vehicle.
_CITYSCAPES_8: Classes = {
    "road": (7,), "building": (11,), "pole": (17,), "traffic light": (19,), "traffic sign": (20,), "vegetation": (21,),
    "sky": (23,), "vehicle": (26, 28),
}  # fmt: skip
_SYNTHIA_8: Classes = {
    "road": (3,), "building": (2,), "pole": (7,), "traffic light": (15,), "traffic sign": (9,), "vegetation": (6,),
    "sky": (1,), "vehicle": (8, 19),
}  # fmt: skip
_VKITTI2_8: Classes = {
    "road": (5,), "building": (4,), "pole": (9,), "traffic light": (8,), "traffic sign": (7,), "vegetation": (2, 3),
    "sky": (1,), "vehicle": (11, 12, 13),
}  # fmt: skip

# The 7 Cityscapes categories, with the members domain adaptation protocols give them.
_CITYSCAPES_7: Classes = {
    "flat": (7, 8), "construction": (11, 13), "object": (17, 19, 20), "nature": (21,), "sky": (23,), "human": (24,),
    "vehicle": (26, 33),
}  # fmt: skip

# RGB in the files of Virtual KITTI 2; the id is the position.
VKITTI2_COLORS: Colors = {
    "Terrain": (210, 0, 200), "Sky": (90, 200, 255), "Tree": (0, 199, 0), "Vegetation": (90, 240, 0),
    "Building": (140, 140, 140), "Road": (100, 60, 100), "GuardRail": (250, 100, 255), "TrafficSign": (255, 255, 0),
    "TrafficLight": (200, 200, 0), "Pole": (255, 130, 0), "Misc": (80, 80, 80), "Truck": (160, 60, 60),
    "Car": (255, 127, 80), "Van": (0, 139, 139),
}  # fmt: skip
_VKITTI2_14: Classes = {name: (index,) for index, name in enumerate(VKITTI2_COLORS)}

NYUDV2_NAMES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture", "other prop",
)  # fmt: skip
_NYUDV2_40: Classes = {name: (index + 1,) for index, name in enumerate(NYUDV2_NAMES)}  # 0 is void

_STREET_COLORS: Colors = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180), "person": (220, 20, 60),
    "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70), "bus": (0, 60, 100), "train": (0, 80, 100),
    "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
    # groups take the colour of their most frequent member
    "flat": (128, 64, 128), "construction": (70, 70, 70), "object": (153, 153, 153), "nature": (107, 142, 35),
    "human": (220, 20, 60), "vehicle": (0, 0, 142),
}  # fmt: skip


def _indoor_colors() -> dict[str, tuple[int, int, int]]:
    """40 distinct colours: hues a golden angle apart, in four steps of brightness and saturation."""
    steps = ((0.65, 0.95), (0.9, 0.75), (0.45, 1.0), (0.85, 0.5))  # saturation, value
    colors = {}
    for index, name in enumerate(NYUDV2_NAMES):
        red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, *steps[index % len(steps)])
        colors[name] = round(255 * red), round(255 * green), round(255 * blue)
    return colors


# Dataset -> its sets, and the colours of their classes
_LABEL_SETS: Mapping[str, tuple[tuple[Classes, ...], Colors]] = {
    "cityscapes": (
        (_CITYSCAPES_19, _CITYSCAPES_16, _without(_CITYSCAPES_16, *_THIN), _CITYSCAPES_8, _CITYSCAPES_7),
        _STREET_COLORS,
    ),
    "synthia": ((_SYNTHIA_16, _without(_SYNTHIA_16, *_THIN), _SYNTHIA_8), _STREET_COLORS),
    "vkitti2": ((_VKITTI2_14, _VKITTI2_8), {**_STREET_COLORS, **VKITTI2_COLORS}),
    "nyudv2": ((_NYUDV2_40,), _indoor_colors()),
}


def label_set(dataset: str, n_classes: int) -> LabelSet:
    """The label set of a dataset with this many classes, one that the config knows. Needs no files on disk."""
    given, color_of = _LABEL_SETS[dataset]
    classes = next(classes for classes in given if len(classes) == n_classes)
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for train_id, ids in enumerate(classes.values()):
        table[list(ids)] = train_id
    colors = np.array([color_of[name] for name in classes], np.uint8)
    return LabelSet(names=tuple(classes), colors=colors, table=table)


@cache
def _vkitti2_color_table() -> np.ndarray:
    """uint8 [2^24], red * 65536 + green * 256 + blue -> id; 255 for a colour of no class."""
    table = np.full(1 << 24, 255, np.uint8)
    for index, (red, green, blue) in enumerate(VKITTI2_COLORS.values()):
        table[red << 16 | green << 8 | blue] = index
    return table


def vkitti2_ids(bgra: np.ndarray) -> np.ndarray:
    """Virtual KITTI 2 ids, uint8 [H,W], of a label image uint8 [H,W,4] in OpenCV's channel order; 255: no class."""
    packed = bgra.view("<u4")[..., 0] & 0xFFFFFF  # [H,W], red << 16 | green << 8 | blue
    return _vkitti2_color_table().take(packed)  # twice as fast as indexing
