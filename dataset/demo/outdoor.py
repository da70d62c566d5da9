"""The outdoor world: a street, seen from a car that drives along it (Cityscapes-like).

As indoors, nothing is parallel to the optical axis: facades, fences and parked cars are turned a little towards the
oncoming camera, so that every visible flat surface has a normal with z clearly towards the camera.
"""

from dataclasses import dataclass

import numpy as np

from dataset.demo import street
from dataset.demo.builder import LYING, SceneBuilder, camera_pose
from dataset.demo.rendering import SKY, Scene
from dataset.demo.shapes import Plane, yaw
from dataset.demo.style import Style
from dataset.demo.texture import Texture, grid

OUTDOOR_CLASSES = (
    "road",
    "sidewalk",
    "terrain",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "tree",
    "bush",
    SKY,
    "person",
    "car",
    "bus",
)
CAMERA_HEIGHT = 1.5
LOOKING_DOWN = (2.5, 4.0)  # degrees
# Where the street begins and ends, metres ahead of the camera's start.
BEGIN, END = -6.0, 80.0
# Half the width of the world, metres: beyond any depth the formats can hold.
FAR = 2000.0


@dataclass(frozen=True)
class Layout:
    """Widths in metres; the camera drives at x = 0, in the right lane."""

    left: float  # x of the road's edges
    right: float
    pavement: float

    def edge(self, side: int) -> float:
        return self.left if side < 0 else self.right

    def beside(self, side: int, distance: float) -> float:
        """x of a line `distance` metres outside the road."""
        return self.edge(side) + side * distance


def build_outdoor(rng: np.random.Generator, style: Style) -> Scene:
    """A random street."""
    builder = SceneBuilder(rng=rng, style=style, class_names=OUTDOOR_CLASSES, wavelengths=(0.35, 0.9, 2.4, 7.0))
    layout = Layout(left=rng.uniform(-5.6, -4.6), right=rng.uniform(2.2, 2.7), pavement=rng.uniform(2.0, 2.8))
    _ground(builder, layout)
    _traffic(builder, layout)
    for side in (-1, 1):
        _lots(builder, layout, side)
        _parked(builder, layout, side)
        _pavement(builder, layout, side)
    return builder.finish(_Drive.random(rng))


@dataclass(frozen=True)
class _Drive:
    """A camera path straight ahead with slight steering."""

    start: tuple[float, float, float]
    speed: float  # metres per step
    yaw_angle: float
    down: float
    phase: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> "_Drive":
        return cls(
            start=(rng.uniform(-0.3, 0.3), -CAMERA_HEIGHT + rng.uniform(-0.08, 0.08), 0.0),
            speed=rng.uniform(0.7, 1.0),
            yaw_angle=np.radians(rng.uniform(-2, 2)),
            down=np.radians(rng.uniform(*LOOKING_DOWN)),
            phase=rng.uniform(0, 2 * np.pi),
        )

    def __call__(self, step: int) -> np.ndarray:
        x, y, z = self.start
        swing = np.sin(0.25 * step + self.phase)
        position = (x + 0.15 * swing, y, z + self.speed * step)
        return camera_pose(position, yaw_angle=self.yaw_angle + np.radians(1.2) * swing, down=self.down)


def _turned(builder: SceneBuilder, side: int, degrees: tuple[float, float] = (9.0, 14.0)) -> np.ndarray:
    """Rotation of a thing at one side of the road that shows the camera its inner face."""
    return yaw(-side * np.radians(builder.rng.uniform(*degrees)))


def _strip(builder: SceneBuilder, span: tuple[float, float], texture: Texture, name: str, thing: int) -> None:
    """An endless strip of ground between two x, metres."""
    low, high = np.clip(sorted(span), -FAR, FAR)
    plane = Plane(centre=((low + high) / 2, 0.0, 0.0), rotation=LYING, half=((high - low) / 2, np.inf))
    builder.add(plane, texture, name, thing, ground=True)


def _ground(builder: SceneBuilder, layout: Layout) -> None:
    road = builder.new_object()
    asphalt = builder.paint(builder.colour((0.70, 0.08, 0.40)), contrast=0.08)
    _strip(builder, (layout.left, layout.right), asphalt, "road", road)
    white = builder.paint(builder.colour((0.12, 0.05, 0.85)), contrast=0.04)
    middle = (layout.left + layout.right) / 2
    for z in np.arange(BEGIN, END, 7.0):  # the centre line, a hair above the road
        dash = Plane(centre=(middle, -0.005, z), rotation=LYING, half=(0.09, 1.7))
        builder.add(dash, white, "road", road, ground=True)
    for side in (-1, 1):
        slabs = grid(
            builder.colour((0.90, 0.16, 0.52)), periods=((1.4, np.inf, np.inf), (np.inf, 1.4, np.inf)), alternate=True
        )
        paving = builder.paint(builder.colour((0.92, 0.18, 0.70)), pattern=slabs)
        outer = layout.beside(side, layout.pavement)
        _strip(builder, (layout.edge(side), outer), paving, "sidewalk", builder.new_object())
        grass = builder.paint(builder.colour((0.20, 0.60, 0.62)), contrast=0.08)
        _strip(builder, (outer, side * np.inf), grass, "terrain", builder.new_object())


def _lots(builder: SceneBuilder, layout: Layout, side: int) -> None:
    """Houses and gardens along one side."""
    rng = builder.rng
    z = BEGIN + rng.uniform(0, 6)
    while z < END:
        length = rng.uniform(8, 13)
        rotation = _turned(builder, side)
        front = layout.beside(side, layout.pavement)
        if rng.uniform() < 0.55:
            width = 8.0
            x = front + side * (width / 2 + 0.12 * length + rng.uniform(0.4, 2.5))
            street.house(builder, np.array([x, 0.0, z + length / 2]), rotation, (width, rng.uniform(5, 13), length))
        else:
            _garden(builder, front, side, z, length)
        z += length + rng.uniform(0.0, 2.0)
    across = np.array([rng.uniform(-4, 4), 0.0, END + 12])
    street.house(builder, across, yaw(np.radians(rng.uniform(-8, 8))), (60.0, rng.uniform(7, 14), 8.0))


def _garden(builder: SceneBuilder, front: float, side: int, z: float, length: float) -> None:
    """A lot without a house: a fence, a wall or nothing, and plants behind it."""
    rng = builder.rng
    bound = (street.fence, street.low_wall, None)[rng.choice(3, p=(0.45, 0.35, 0.2))]
    if bound is not None:
        piece = length / round(length / 3.5)
        for number in range(round(length / piece)):
            base = np.array([front + side * 0.6, 0.0, z + (number + 0.5) * piece])
            bound(builder, base, _turned(builder, side, (7.0, 9.0)), piece)
    for _ in range(rng.integers(2, 5)):
        base = np.array([front + side * rng.uniform(2.5, 7.0), 0.0, z + rng.uniform(1, length - 1)])
        if builder.claim(base[0], base[2], 1.6):
            (street.tree if rng.uniform() < 0.6 else street.bush)(builder, base)


def _pavement(builder: SceneBuilder, layout: Layout, side: int) -> None:
    """Street furniture, trees, bushes and people on one pavement."""
    rng = builder.rng
    z = rng.uniform(3.5, 9)
    while z < END:
        base = np.array([layout.beside(side, rng.uniform(0.35, 0.6)), 0.0, z])
        z += rng.uniform(7, 15)
        if not builder.claim(base[0], base[2], 0.5):
            continue
        choice = rng.choice(4, p=(0.28, 0.24, 0.22, 0.26))
        if choice == 0:
            street.post(builder, base, rng.uniform(5, 7), rng.uniform(0.10, 0.15))
        elif choice == 1:
            street.tree(builder, base + np.array([side * 0.5, 0.0, 0.0]))
        else:
            (street.road_sign, street.signal)[choice - 2](builder, base, _turned(builder, side, (2.0, 10.0)))
    for _ in range(rng.integers(5, 9)):
        x = layout.beside(side, rng.uniform(0.5, layout.pavement - 0.3))
        z = rng.uniform(3.5, 40)
        if builder.claim(x, z, 0.45):
            builder.person(x, z)
    for _ in range(rng.integers(2, 6)):
        base = np.array([layout.beside(side, layout.pavement + 0.3), 0.0, rng.uniform(6, 80)])
        if builder.claim(base[0], base[2], 1.2):
            street.bush(builder, base)


def _parked(builder: SceneBuilder, layout: Layout, side: int) -> None:
    rng = builder.rng
    z = rng.uniform(4, 20)
    while z < END:
        base = np.array([layout.beside(side, rng.uniform(0.1, 0.4)), 0.0, z])  # half on the pavement
        if builder.claim(base[0], z, 2.0):
            street.car(builder, base, _turned(builder, side, (9.0, 13.0)))
        z += rng.uniform(9, 30)


def _traffic(builder: SceneBuilder, layout: Layout) -> None:
    """Vehicles in the opposite lane (standing, as everything in this world) and one far ahead of the camera."""
    rng = builder.rng
    lane = layout.left * 0.5 - 0.6
    z = rng.uniform(9, 34)
    while z < END:
        vehicle = street.bus if rng.uniform() < 0.5 else street.car
        if builder.claim(lane, z, 3.5):
            vehicle(builder, np.array([lane, 0.0, z]), _turned(builder, -1, (8.0, 9.0)))
        z += rng.uniform(22, 45)
    (street.bus if rng.uniform() < 0.3 else street.car)(builder, np.array([0.1, 0.0, rng.uniform(40, 60)]), np.eye(3))
