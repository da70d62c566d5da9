"""What stands in the street of the outdoor world: each function puts one object on the ground at `base`.

`base` is a ground point [3] in metres; `rotation` [3,3] turns the object's own axes into the world's.
"""

import numpy as np

from dataset.demo.builder import UP, SceneBuilder
from dataset.demo.shapes import Cylinder, Sphere, roll
from dataset.demo.texture import grid


def house(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, size: tuple[float, float, float]) -> None:
    """A house of `size` (width, height, depth) with rows of windows on all sides."""
    hue, saturation, value = [(0.02, 0.50, 0.62), (0.10, 0.45, 0.80), (0.06, 0.30, 0.72), (0.97, 0.25, 0.70)][
        builder.rng.integers(4)
    ]
    spacing, floor = builder.rng.uniform(2.2, 3.2), builder.rng.uniform(2.6, 3.4)
    windows = grid(
        builder.colour((0.60, 0.35, 0.30)),
        periods=((spacing, np.inf, spacing), (np.inf, floor, np.inf)),
        phases=(builder.rng.uniform(0, 6), builder.rng.uniform(0, 6)),
        offset=builder.rng.uniform(-0.1, 0.2),
    )
    texture = builder.paint(builder.colour((hue, saturation, value)), pattern=windows)
    builder.add(builder.block(rotation, base, size), texture, "building", builder.new_object())


def low_wall(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, length: float) -> None:
    """A masonry wall, `length` metres along its own z."""
    bricks = grid(
        builder.colour((0.80, 0.12, 0.42)),
        periods=((np.inf, 0.8, np.inf), (0.9, np.inf, 0.9)),
        offset=-0.3,
    )
    texture = builder.paint(builder.colour((0.80, 0.16, 0.68)), pattern=bricks)
    wall = builder.block(rotation, base, (0.3, builder.rng.uniform(1.5, 2.1), length))
    builder.add(wall, texture, "wall", builder.new_object())


def fence(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, length: float) -> None:
    """A board fence, `length` metres along its own z."""
    boards = grid(builder.colour((0.07, 0.60, 0.40)), periods=((0.8, np.inf, 0.8),), offset=0.1)
    texture = builder.paint(builder.colour((0.09, 0.50, 0.78)), pattern=boards)
    boards_box = builder.block(rotation, base, (0.12, builder.rng.uniform(1.1, 1.4), length))
    builder.add(boards_box, texture, "fence", builder.new_object())


def tree(builder: SceneBuilder, base: np.ndarray) -> None:
    """A trunk under a crown of three spheres."""
    rng, plant = builder.rng, builder.new_object()
    height, radius = rng.uniform(2.0, 3.0), rng.uniform(1.1, 1.9)
    bark = builder.paint(builder.colour((0.07, 0.45, 0.32)))
    builder.add(Cylinder(centre=base + UP * height / 2, radius=0.2, half_height=height / 2), bark, "tree", plant)
    leaves = builder.paint(builder.colour((0.33, 0.70, 0.42)), contrast=0.11)
    crown = base + UP * (height + 0.6 * radius)
    for offset in rng.uniform(-0.6, 0.6, (3, 3)):
        lobe = Sphere(centre=crown + offset * radius, radius=radius * rng.uniform(0.7, 1.0))
        builder.add(lobe, leaves, "tree", plant)
    builder.contact(base[0], base[2], 1.1 * radius)


def bush(builder: SceneBuilder, base: np.ndarray) -> None:
    """Two overlapping spheres, half in the ground."""
    rng, plant = builder.rng, builder.new_object()
    leaves = builder.paint(builder.colour((0.24, 0.75, 0.52)), contrast=0.11)
    radius = rng.uniform(0.7, 1.2)
    for side in (-0.4, 0.4):
        centre = base + UP * 0.3 * radius + np.array([side, 0, side]) * radius
        builder.add(Sphere(centre=centre, radius=radius * rng.uniform(0.8, 1.0)), leaves, "bush", plant)
    builder.contact(base[0], base[2], 1.6 * radius)


def car(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A car pointing along its own z: body, cabin and wheels."""
    rng, vehicle = builder.rng, builder.new_object()
    hue, saturation, value = [
        (0.0, 0.9, 0.75),
        (0.64, 0.85, 0.70),
        (0.0, 0.02, 0.92),
        (0.55, 0.1, 0.45),
        (0.48, 0.7, 0.6),
    ][rng.integers(5)]
    paint = builder.paint(builder.colour((hue, saturation, value), 0.02), contrast=0.04)
    glass = builder.paint(builder.colour((0.58, 0.30, 0.22)), contrast=0.05)
    width, length = rng.uniform(1.7, 1.85), rng.uniform(3.8, 4.5)
    builder.add(builder.block(rotation, base, (width, 0.62, length), lift=0.28), paint, "car", vehicle)
    middle = base + rotation @ np.array([0.0, 0.0, -0.1 * length])
    builder.add(builder.block(rotation, middle, (0.86 * width, 0.48, 0.55 * length), lift=0.90), glass, "car", vehicle)
    builder.add(builder.block(rotation, middle, (0.84 * width, 0.08, 0.50 * length), lift=1.38), paint, "car", vehicle)
    _wheels(builder, base, rotation, (width, length), radius=0.34, name="car", vehicle=vehicle)


def bus(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A bus pointing along its own z, with a band of windows."""
    vehicle = builder.new_object()
    width, height, length = 2.4, builder.rng.uniform(2.7, 3.1), builder.rng.uniform(7.5, 9.0)
    band = grid(builder.colour((0.58, 0.25, 0.25)), periods=((np.inf, height, np.inf),), phases=(2.6,), offset=0.45)
    texture = builder.paint(builder.colour((0.13, 0.90, 0.90), 0.02), contrast=0.04, pattern=band)
    builder.add(builder.block(rotation, base, (width, height, length), lift=0.35), texture, "bus", vehicle)
    _wheels(builder, base, rotation, (width, length), radius=0.48, name="bus", vehicle=vehicle)


def _wheels(
    builder: SceneBuilder,
    base: np.ndarray,
    rotation: np.ndarray,
    size: tuple[float, float],
    *,
    radius: float,
    name: str,
    vehicle: int,
) -> None:
    """Four wheels under a body of `size` (width, length), and the shade below it."""
    rubber = builder.paint(builder.colour((0.6, 0.1, 0.14)), contrast=0.04)
    width, length = size
    lying = rotation @ roll(np.pi / 2)  # the cylinder's axis across the vehicle
    for side in (-1, 1):
        for end in (-1, 1):
            place = base + rotation @ np.array([side * (width / 2 - 0.1), -radius, end * 0.32 * length])
            wheel = Cylinder(centre=place, rotation=lying, radius=radius, half_height=0.12)
            builder.add(wheel, rubber, name, vehicle)
    for share in (-0.25, 0.25):
        x, _, z = base + rotation @ np.array([0.0, 0.0, share * length])
        builder.contact(x, z, 0.7 * width)


def post(builder: SceneBuilder, base: np.ndarray, height: float, radius: float) -> np.ndarray:
    """A grey pole; returns its top [3]."""
    steel = builder.paint(builder.colour((0.55, 0.08, 0.55)), contrast=0.05)
    pole = Cylinder(centre=base + UP * height / 2, radius=radius, half_height=height / 2)
    builder.add(pole, steel, "pole", builder.new_object())
    return base + UP * height


def road_sign(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A round or square sign on a pole."""
    top = post(builder, base, builder.rng.uniform(2.1, 2.5), 0.07)
    hue, saturation = [(0.62, 0.9), (0.99, 0.9)][builder.rng.integers(2)]
    rim = grid(builder.colour((0.1, 0.02, 1.0)), periods=((np.inf, 0.9, np.inf), (0.9, np.inf, np.inf)), alternate=True)
    texture = builder.paint(builder.colour((hue, saturation, 0.85), 0.01), contrast=0.03, pattern=rim)
    front = top + UP * 0.35 + rotation @ np.array([0.0, 0.0, -0.12])
    plate = builder.block(rotation, front - UP * 0.45, (0.9, 0.9, 0.06))
    builder.add(plate, texture, "traffic sign", builder.new_object())


def signal(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A traffic light on a pole: a dark case with one of its lamps lit."""
    top = post(builder, base, 2.6, 0.09)
    case = builder.new_object()
    dark = builder.paint(builder.colour((0.35, 0.35, 0.16)), contrast=0.04)
    front = top + rotation @ np.array([0.0, 0.0, -0.15])
    builder.add(builder.block(rotation, front, (0.5, 1.25, 0.35)), dark, "traffic light", case)
    lit = builder.rng.integers(3)
    for number, hue in enumerate((0.0, 0.13, 0.38)):
        lamp = builder.paint(builder.colour((hue, 0.95, 1.3 if number == lit else 0.35), 0.01), contrast=0.03)
        place = front + UP * (1.04 - 0.4 * number) + rotation @ np.array([0.0, 0.0, -0.15])
        builder.add(Sphere(centre=place, radius=0.16), lamp, "traffic light", case)
