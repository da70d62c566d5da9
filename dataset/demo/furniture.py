"""What stands in the rooms of the indoor world: each function puts one object on a wall or on the floor.

Lengths are in metres. Things at a wall are `width` wide; free things stand on the floor point `base` [3], their own
axes turned by `rotation` [3,3].
"""

from dataclasses import dataclass

import numpy as np

from dataset.demo.builder import UP, SceneBuilder
from dataset.demo.shapes import Cylinder, Plane, Sphere
from dataset.demo.texture import grid


@dataclass(frozen=True, eq=False)
class Spot:
    """A place at a wall.

    Args:
        base: [3] the foot of the wall there.
        rotation: [3,3] of the wall: own x runs along it, own -z into the room.
        standing: [3,3] of furniture in front of it, which may be turned a little towards the camera.
    """

    base: np.ndarray
    rotation: np.ndarray
    standing: np.ndarray

    def floor(self, depth: float) -> np.ndarray:
        """Ground point [3] under the middle of a piece of furniture of this depth."""
        return self.base - (depth / 2) * self.standing[:, 2]

    def hanging(self, size: tuple[float, float], *, lift: float, along: float = 0.0, out: float = 0.03) -> Plane:
        """A rectangle of `size` (width, height) on the wall, its lower edge `lift` above the floor."""
        width, height = size
        centre = self.base + along * self.rotation[:, 0] - out * self.rotation[:, 2] + UP * (lift + height / 2)
        return Plane(centre=centre, rotation=self.rotation, half=(width / 2, height / 2))


def cabinet(builder: SceneBuilder, spot: Spot, width: float) -> None:
    depth, height = builder.rng.uniform(0.45, 0.6), builder.rng.uniform(0.9, 1.9)
    doors = grid(builder.colour((0.01, 0.70, 0.26)), periods=((width / 2, np.inf, np.inf),), offset=0.8)
    texture = builder.paint(builder.colour((0.01, 0.70, 0.48)), pattern=doors)
    base = spot.floor(depth)
    builder.add(builder.block(spot.standing, base, (width, height, depth)), texture, "cabinet", builder.new_object())
    _stands(builder, base, width, depth)


def bookshelf(builder: SceneBuilder, spot: Spot, width: float) -> None:
    depth, height = 0.35, builder.rng.uniform(1.6, 2.1)
    books = grid(
        builder.colour((builder.rng.uniform(0.45, 0.6), 0.75, 0.65)),
        periods=((0.36, np.inf, np.inf), (np.inf, 0.46, np.inf)),
        offset=-0.2,
    )
    texture = builder.paint(builder.colour((0.13, 0.60, 0.85)), pattern=books)
    base = spot.floor(depth)
    builder.add(builder.block(spot.standing, base, (width, height, depth)), texture, "bookshelf", builder.new_object())
    _stands(builder, base, width, depth)


def sofa(builder: SceneBuilder, spot: Spot, width: float) -> None:
    width, depth = max(width, 1.3), 0.85
    sofa = builder.new_object()
    colour = builder.colour((0.62, 0.65, 0.60))
    base = spot.floor(depth)
    parts = [
        (base, (width, 0.42, depth), 0.9),
        (spot.floor(0.24), (width, 0.88, 0.24), 1.0),
        (base - (width / 2 - 0.1) * spot.standing[:, 0], (0.2, 0.6, depth), 1.0),
        (base + (width / 2 - 0.1) * spot.standing[:, 0], (0.2, 0.6, depth), 1.0),
    ]
    for place, size, shade in parts:
        builder.add(builder.block(spot.standing, place, size), builder.paint(shade * colour), "sofa", sofa)
    _stands(builder, base, width, depth)


def door(builder: SceneBuilder, spot: Spot, width: float) -> None:
    panels = grid(
        builder.colour((0.40, 0.50, 0.42)), periods=((0.45, np.inf, np.inf), (np.inf, 0.8, np.inf)), offset=0.1
    )
    texture = builder.paint(builder.colour((0.41, 0.45, 0.66)), pattern=panels)
    door = spot.hanging((min(width, 0.95), 2.05), lift=0.0)
    builder.add(door, texture, "door", builder.new_object())


def window(builder: SceneBuilder, spot: Spot, width: float) -> None:
    width, height = max(width, 1.0), builder.rng.uniform(1.0, 1.3)
    panes = grid(builder.colour((0.56, 0.32, 1.0)), periods=((0.5, np.inf, np.inf), (np.inf, 0.5, np.inf)), offset=-0.6)
    texture = builder.paint(builder.colour((0.10, 0.05, 0.95)), contrast=0.05, pattern=panes)
    builder.add(spot.hanging((width, height), lift=0.85), texture, "window", builder.new_object())
    folds = grid(builder.colour((0.93, 0.60, 0.45)), periods=((0.22, np.inf, np.inf),), sharpness=1.5)
    colour = builder.colour((0.93, 0.50, 0.75))
    for side in (-1, 1):
        curtain = spot.hanging((0.42, height + 0.75), lift=0.25, along=side * (width / 2 + 0.15), out=0.06)
        builder.add(curtain, builder.paint(colour, pattern=folds), "curtain", builder.new_object())


def picture(builder: SceneBuilder, spot: Spot, width: float) -> None:
    hue = builder.rng.uniform(0.74, 0.80)
    blocks = grid(
        builder.colour((hue + 0.35, 0.7, 0.9)), periods=((0.7, np.inf, np.inf), (np.inf, 0.6, np.inf)), alternate=True
    )
    texture = builder.paint(builder.colour((hue, 0.7, 0.55)), pattern=blocks)
    size = (max(0.9, width), builder.rng.uniform(0.7, 1.0))
    builder.add(spot.hanging(size, lift=1.05), texture, "picture", builder.new_object())


def _stands(builder: SceneBuilder, base: np.ndarray, width: float, depth: float) -> None:
    """Claims the floor under a piece of furniture and darkens it."""
    builder.claim(base[0], base[2], 0.45 * width)
    builder.contact(base[0], base[2], 0.5 * (width + depth) * 0.9)


def table(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    table = builder.new_object()
    texture = builder.paint(builder.colour((0.11, 0.80, 0.85)))
    height = builder.rng.uniform(0.7, 0.8)
    size = (builder.rng.uniform(1.1, 1.4), 0.09, builder.rng.uniform(0.8, 1.0))
    builder.add(builder.block(rotation, base, size, lift=height - 0.09), texture, "table", table)
    leg = Cylinder(centre=base + UP * (height / 2 - 0.05), radius=0.14, half_height=height / 2 - 0.05)
    builder.add(leg, texture, "table", table)
    builder.contact(base[0], base[2], 0.8)


def person(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    builder.person(base[0], base[2])


def ball(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    radius = builder.rng.uniform(0.26, 0.42)
    dots = grid(builder.colour((0.17, 0.1, 1.0)), periods=((0.5, 0.5, np.inf), (np.inf, 0.5, 0.5)), alternate=True)
    texture = builder.paint(builder.colour((0.22, 0.85, 0.80)), pattern=dots)
    ball = Sphere(centre=base + UP * (radius), rotation=rotation, radius=radius)
    builder.add(ball, texture, "otherprop", builder.new_object())
    builder.contact(base[0], base[2], radius)


def pillar(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    rings = grid(builder.colour((0.72, 0.35, 0.50)), periods=((np.inf, 0.9, np.inf),), offset=0.4)
    texture = builder.paint(builder.colour((0.72, 0.20, 0.75)), pattern=rings)
    pillar = Cylinder(centre=base + UP * (1.6), radius=builder.rng.uniform(0.18, 0.28), half_height=1.6)
    builder.add(pillar, texture, "otherstructure", builder.new_object())
    builder.contact(base[0], base[2], 0.5)


def box(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    tape = grid(builder.colour((0.09, 0.25, 0.90)), periods=((0.5, np.inf, 0.5),), offset=0.8)
    texture = builder.paint(builder.colour((0.08, 0.45, 0.68)), pattern=tape)
    size = tuple(builder.rng.uniform(0.45, 0.8, 3))
    builder.add(builder.block(rotation, base, size), texture, "box", builder.new_object())
    builder.contact(base[0], base[2], 0.55)


def lamp(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    lamp = builder.new_object()
    height = builder.rng.uniform(1.4, 1.7)
    dark = builder.paint(builder.colour((0.6, 0.1, 0.25)), contrast=0.04)
    builder.add(Cylinder(centre=base + UP * (height / 2), radius=0.05, half_height=height / 2), dark, "lamp", lamp)
    shade = builder.paint(builder.colour((0.14, 0.45, 1.6)), contrast=0.04)
    builder.add(Cylinder(centre=base + UP * (height), radius=0.27, half_height=0.2), shade, "lamp", lamp)
    builder.contact(base[0], base[2], 0.3)
