"""What stands in the rooms of the indoor world: each function puts one object on a wall or on the floor.

Lengths are in metres. Things at a wall are `width` wide; free things stand on the floor point `base` [3], their own
axes turned by `rotation` [3,3].
"""

from dataclasses import dataclass

import numpy as np

from dataset.demo.builder import UP, Part, SceneBuilder, block, column
from dataset.demo.shapes import Cylinder, Plane, Sphere
from dataset.demo.texture import Pattern, every


@dataclass(frozen=True, eq=False)
class Spot:
    """A place at a wall."""

    base: np.ndarray  # [3] the foot of the wall there
    rotation: np.ndarray  # [3,3] of the wall: own x runs along it, own -z into the room
    standing: np.ndarray  # [3,3] of furniture in front of it, which may be turned a little towards the camera

    def floor(self, depth: float) -> np.ndarray:
        """Ground point [3] under the middle of a piece of furniture of this depth."""
        return self.base - (depth / 2) * self.standing[:, 2]

    def hanging(self, size: tuple[float, float], *, lift: float, along: float = 0.0, out: float = 0.03) -> Plane:
        """A rectangle of `size` (width, height) on the wall, its lower edge `lift` above the floor."""
        width, height = size
        centre = self.base + along * self.rotation[:, 0] - out * self.rotation[:, 2] + UP * (lift + height / 2)
        return Plane(centre, (width / 2, height / 2, 0.0), self.rotation)


def _stand(builder: SceneBuilder, name: str, base: np.ndarray, width: float, depth: float, *parts: Part) -> None:
    """Puts furniture at a wall and takes the floor under it."""
    builder.add(name, *parts)
    builder.claim(base, 0.45 * width)
    builder.contact(base, 0.5 * (width + depth) * 0.9)


def cabinet(builder: SceneBuilder, spot: Spot, width: float) -> None:
    depth, height = builder.rng.uniform(0.45, 0.6), builder.rng.uniform(0.9, 1.9)
    base = spot.floor(depth)
    doors = Pattern(builder.colour((0.01, 0.70, 0.26)), (every(x=width / 2),), offset=0.8)
    body = block(base, (width, height, depth), spot.standing)
    _stand(builder, "cabinet", base, width, depth, (body, builder.paint((0.01, 0.70, 0.48), pattern=doors)))


def bookshelf(builder: SceneBuilder, spot: Spot, width: float) -> None:
    depth, height = 0.35, builder.rng.uniform(1.6, 2.1)
    base = spot.floor(depth)
    colour = builder.colour((builder.rng.uniform(0.45, 0.6), 0.75, 0.65))
    books = Pattern(colour, (every(x=0.36), every(y=0.46)), offset=-0.2)
    body = block(base, (width, height, depth), spot.standing)
    _stand(builder, "bookshelf", base, width, depth, (body, builder.paint((0.13, 0.60, 0.85), pattern=books)))


def sofa(builder: SceneBuilder, spot: Spot, width: float) -> None:
    width, depth = max(width, 1.3), 0.85
    base = spot.floor(depth)
    colour = builder.colour((0.62, 0.65, 0.60))
    side = (width / 2 - 0.1) * spot.standing[:, 0]
    parts = (  # seat, back, arms
        (base, (width, 0.42, depth), 0.9),
        (spot.floor(0.24), (width, 0.88, 0.24), 1.0),
        (base - side, (0.2, 0.6, depth), 1.0),
        (base + side, (0.2, 0.6, depth), 1.0),
    )
    painted = [(block(place, size, spot.standing), builder.coat(shade * colour)) for place, size, shade in parts]
    _stand(builder, "sofa", base, width, depth, *painted)


def door(builder: SceneBuilder, spot: Spot, width: float) -> None:
    panels = Pattern(builder.colour((0.40, 0.50, 0.42)), (every(x=0.45), every(y=0.8)), offset=0.1)
    leaf = spot.hanging((min(width, 0.95), 2.05), lift=0.0)
    builder.add("door", (leaf, builder.paint((0.41, 0.45, 0.66), pattern=panels)))


def window(builder: SceneBuilder, spot: Spot, width: float) -> None:
    width, height = max(width, 1.0), builder.rng.uniform(1.0, 1.3)
    panes = Pattern(builder.colour((0.56, 0.32, 1.0)), (every(x=0.5), every(y=0.5)), offset=-0.6)
    glass = spot.hanging((width, height), lift=0.85)
    builder.add("window", (glass, builder.paint((0.10, 0.05, 0.95), pattern=panes)))
    folds = Pattern(builder.colour((0.93, 0.60, 0.45)), (every(x=0.22),), sharpness=1.5)
    colour = builder.colour((0.93, 0.50, 0.75))
    for side in (-1, 1):
        curtain = spot.hanging((0.42, height + 0.75), lift=0.25, along=side * (width / 2 + 0.15), out=0.06)
        builder.add("curtain", (curtain, builder.coat(colour, pattern=folds)))


def picture(builder: SceneBuilder, spot: Spot, width: float) -> None:
    hue = builder.rng.uniform(0.74, 0.80)
    blocks = Pattern(builder.colour((hue + 0.35, 0.7, 0.9)), (every(x=0.7), every(y=0.6)), alternate=True)
    texture = builder.paint((hue, 0.7, 0.55), pattern=blocks)
    size = (max(0.9, width), builder.rng.uniform(0.7, 1.0))
    builder.add("picture", (spot.hanging(size, lift=1.05), texture))


def table(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    wood = builder.paint((0.11, 0.80, 0.85))
    height = builder.rng.uniform(0.7, 0.8)
    size = (builder.rng.uniform(1.1, 1.4), 0.09, builder.rng.uniform(0.8, 1.0))
    leg = column(base, 0.14, height - 0.1)
    builder.add("table", (block(base, size, rotation, lift=height - 0.09), wood), (leg, wood))
    builder.contact(base, 0.8)


def person(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    builder.person(base)


def ball(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    radius = builder.rng.uniform(0.26, 0.42)
    dots = Pattern(builder.colour((0.17, 0.1, 1.0)), (every(x=0.5, y=0.5), every(y=0.5, z=0.5)), alternate=True)
    sphere = Sphere(base + UP * radius, radius, rotation)
    builder.add("otherprop", (sphere, builder.paint((0.22, 0.85, 0.80), pattern=dots)))
    builder.contact(base, radius)


def pillar(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    rings = Pattern(builder.colour((0.72, 0.35, 0.50)), (every(y=0.9),), offset=0.4)
    plaster = builder.paint((0.72, 0.20, 0.75), pattern=rings)
    builder.add("otherstructure", (column(base, builder.rng.uniform(0.18, 0.28), 3.2), plaster))
    builder.contact(base, 0.5)


def box(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    tape = Pattern(builder.colour((0.09, 0.25, 0.90)), (every(x=0.5, z=0.5),), offset=0.8)
    card = builder.paint((0.08, 0.45, 0.68), pattern=tape)
    builder.add("box", (block(base, tuple(builder.rng.uniform(0.45, 0.8, 3)), rotation), card))
    builder.contact(base, 0.55)


def lamp(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    height = builder.rng.uniform(1.4, 1.7)
    dark = builder.paint((0.6, 0.1, 0.25), contrast=0.04)
    shade = Cylinder(base + UP * height, (0.27, 0.2, 0.27))
    light = builder.paint((0.14, 0.45, 1.6), contrast=0.04)
    builder.add("lamp", (column(base, 0.05, height), dark), (shade, light))
    builder.contact(base, 0.3)
