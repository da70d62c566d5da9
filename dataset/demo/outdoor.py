"""The outdoor world: a street, seen from a car that drives along it (Cityscapes-like).

As indoors, nothing is parallel to the optical axis: facades, fences and parked cars are turned a little towards the
oncoming camera, so that every visible flat surface has a normal with z clearly towards the camera.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset.demo import street
from dataset.demo.builder import LYING, SceneBuilder, camera_pose, floor_point
from dataset.demo.classes import OUTDOOR
from dataset.demo.rendering import Scene
from dataset.demo.shapes import Plane, yaw
from dataset.demo.style import Style
from dataset.demo.texture import Pattern, every

CAMERA_HEIGHT = 1.5
LOOKING_DOWN = (2.5, 4.0)  # degrees
# Where the street begins and ends, metres ahead of the camera's start.
BEGIN, END = -6.0, 80.0
# Half the width of the world, metres: beyond any depth the formats can hold.
FAR = 2000.0


@dataclass(frozen=True)
class Road:
    """Measures in metres; the camera drives at x = 0, in the right lane."""

    left: float  # x of the edges
    right: float
    pavement: float  # width

    def beside(self, side: int, distance: float) -> float:
        """x of a line `distance` metres outside the left (-1) or right (1) edge."""
        return (self.left if side < 0 else self.right) + side * distance


def build_outdoor(rng: np.random.Generator, style: Style) -> Scene:
    """A random street."""
    builder = SceneBuilder(rng=rng, style=style, class_names=tuple(OUTDOOR), wavelengths=(0.35, 0.9, 2.4, 7.0))
    road = Road(left=rng.uniform(-5.6, -4.6), right=rng.uniform(2.2, 2.7), pavement=rng.uniform(2.0, 2.8))
    _ground(builder, road)
    _traffic(builder, road)
    for side in (-1, 1):
        _lots(builder, road, side)
        _parked(builder, road, side)
        _pavement(builder, road, side)
    return builder.finish(_drive(rng))


def _drive(rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """A camera path straight ahead with slight steering."""
    x, y = rng.uniform(-0.3, 0.3), -CAMERA_HEIGHT + rng.uniform(-0.08, 0.08)
    speed = rng.uniform(0.7, 1.0)  # metres per step
    heading, down = np.radians(rng.uniform(-2, 2)), np.radians(rng.uniform(*LOOKING_DOWN))
    phase = rng.uniform(0, 2 * np.pi)

    def pose(step: int) -> np.ndarray:
        swing = np.sin(0.25 * step + phase)
        position = (x + 0.15 * swing, y, speed * step)
        return camera_pose(position, yaw_angle=heading + np.radians(1.2) * swing, down=down)

    return pose


def _turned(builder: SceneBuilder, side: int, degrees: tuple[float, float] = (9.0, 14.0)) -> np.ndarray:
    """Rotation of a thing at one side of the road that shows the camera its inner face."""
    return yaw(-side * np.radians(builder.rng.uniform(*degrees)))


def _strip(*span: float) -> Plane:
    """An endless strip of ground between two x, metres."""
    low, high = np.clip(sorted(span), -FAR, FAR)
    return Plane(floor_point((low + high) / 2, 0.0), ((high - low) / 2, np.inf, 0.0), LYING)


def _ground(builder: SceneBuilder, road: Road) -> None:
    asphalt = builder.paint((0.70, 0.08, 0.40), contrast=0.08)
    white = builder.paint((0.12, 0.05, 0.85), contrast=0.04)
    middle, above = (road.left + road.right) / 2, -0.005  # the centre line lies a hair above the road
    dashes = [(Plane((middle, above, z), (0.09, 1.7, 0.0), LYING), white) for z in np.arange(BEGIN, END, 7.0)]
    builder.add("road", (_strip(road.left, road.right), asphalt), *dashes, ground=True)
    for side in (-1, 1):
        slabs = Pattern(builder.colour((0.90, 0.16, 0.52)), (every(x=1.4), every(y=1.4)), alternate=True)
        inner, outer = road.beside(side, 0.0), road.beside(side, road.pavement)
        builder.add("sidewalk", (_strip(inner, outer), builder.paint((0.92, 0.18, 0.70), pattern=slabs)), ground=True)
        grass = builder.paint((0.20, 0.60, 0.62), contrast=0.08)
        builder.add("terrain", (_strip(outer, side * np.inf), grass), ground=True)


def _lots(builder: SceneBuilder, road: Road, side: int) -> None:
    """Houses and gardens along one side."""
    rng = builder.rng
    front = road.beside(side, road.pavement)
    z = BEGIN + rng.uniform(0, 6)
    while z < END:
        length = rng.uniform(8, 13)
        rotation = _turned(builder, side)
        if rng.uniform() < 0.55:
            width = 8.0
            x = front + side * (width / 2 + 0.12 * length + rng.uniform(0.4, 2.5))
            street.house(builder, floor_point(x, z + length / 2), rotation, (width, rng.uniform(5, 13), length))
        else:
            _garden(builder, front, side, z, length)
        z += length + rng.uniform(0.0, 2.0)
    across = floor_point(rng.uniform(-4, 4), END + 12)
    street.house(builder, across, yaw(np.radians(rng.uniform(-8, 8))), (60.0, rng.uniform(7, 14), 8.0))


def _garden(builder: SceneBuilder, front: float, side: int, z: float, length: float) -> None:
    """A lot without a house: a fence, a wall or nothing, and plants behind it."""
    rng = builder.rng
    bound = (street.fence, street.low_wall, None)[rng.choice(3, p=(0.45, 0.35, 0.2))]
    if bound is not None:
        pieces = round(length / 3.5)
        for number in range(pieces):
            base = floor_point(front + side * 0.6, z + (number + 0.5) * (length / pieces))
            bound(builder, base, _turned(builder, side, (7.0, 9.0)), length / pieces)
    for _ in range(rng.integers(2, 5)):
        base = floor_point(front + side * rng.uniform(2.5, 7.0), z + rng.uniform(1, length - 1))
        if builder.claim(base, 1.6):
            (street.tree if rng.uniform() < 0.6 else street.bush)(builder, base)


def _pavement(builder: SceneBuilder, road: Road, side: int) -> None:
    """Street furniture, trees, bushes and people on one pavement."""
    rng = builder.rng
    z = rng.uniform(3.5, 9)
    while z < END:
        base = floor_point(road.beside(side, rng.uniform(0.35, 0.6)), z)
        z += rng.uniform(7, 15)
        if not builder.claim(base, 0.5):
            continue
        choice = rng.choice(4, p=(0.28, 0.24, 0.22, 0.26))
        if choice == 0:
            street.post(builder, base, rng.uniform(5, 7), rng.uniform(0.10, 0.15))
        elif choice == 1:
            street.tree(builder, base + np.array([side * 0.5, 0.0, 0.0]))
        else:
            (street.road_sign, street.signal)[choice - 2](builder, base, _turned(builder, side, (2.0, 10.0)))
    for _ in range(rng.integers(5, 9)):
        base = floor_point(road.beside(side, rng.uniform(0.5, road.pavement - 0.3)), rng.uniform(3.5, 40))
        if builder.claim(base, 0.45):
            builder.person(base)
    for _ in range(rng.integers(2, 6)):
        base = floor_point(road.beside(side, road.pavement + 0.3), rng.uniform(6, 80))
        if builder.claim(base, 1.2):
            street.bush(builder, base)


def _parked(builder: SceneBuilder, road: Road, side: int) -> None:
    rng = builder.rng
    z = rng.uniform(4, 20)
    while z < END:
        base = floor_point(road.beside(side, rng.uniform(0.1, 0.4)), z)  # half on the pavement
        if builder.claim(base, 2.0):
            street.car(builder, base, _turned(builder, side, (9.0, 13.0)))
        z += rng.uniform(9, 30)


def _traffic(builder: SceneBuilder, road: Road) -> None:
    """Vehicles in the opposite lane (standing, as everything in this world) and one far ahead of the camera."""
    rng = builder.rng
    z = rng.uniform(9, 34)
    while z < END:
        base = floor_point(road.left * 0.5 - 0.6, z)
        vehicle = street.bus if rng.uniform() < 0.5 else street.car
        if builder.claim(base, 3.5):
            vehicle(builder, base, _turned(builder, -1, (8.0, 9.0)))
        z += rng.uniform(22, 45)
    (street.bus if rng.uniform() < 0.3 else street.car)(builder, floor_point(0.1, rng.uniform(40, 60)), np.eye(3))
