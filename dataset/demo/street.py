"""What stands in the street of the outdoor world: each function puts one object on the ground at `base`.

`base` is a ground point [3] in metres; `rotation` [3,3] turns the object's own axes into the world's.
"""

import numpy as np

from dataset.demo.builder import UP, Part, SceneBuilder, block, column
from dataset.demo.shapes import Cylinder, Sphere, roll
from dataset.demo.texture import Pattern, every

PLASTER = ((0.02, 0.50, 0.62), (0.10, 0.45, 0.80), (0.06, 0.30, 0.72), (0.97, 0.25, 0.70))
CAR_PAINT = ((0.0, 0.9, 0.75), (0.64, 0.85, 0.70), (0.0, 0.02, 0.92), (0.55, 0.1, 0.45), (0.48, 0.7, 0.6))
SIGN_PAINT = ((0.62, 0.9, 0.85), (0.99, 0.9, 0.85))


def house(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, size: tuple[float, float, float]) -> None:
    """A house of `size` (width, height, depth) with rows of windows on all sides."""
    rng = builder.rng
    plaster = PLASTER[rng.integers(len(PLASTER))]
    spacing, floor = rng.uniform(2.2, 3.2), rng.uniform(2.6, 3.4)
    windows = Pattern(
        builder.colour((0.60, 0.35, 0.30)),
        (every(x=spacing, z=spacing), every(y=floor)),
        phases=(rng.uniform(0, 6), rng.uniform(0, 6)),
        offset=rng.uniform(-0.1, 0.2),
    )
    builder.add("building", (block(base, size, rotation), builder.paint(plaster, pattern=windows)))


def low_wall(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, length: float) -> None:
    """A masonry wall, `length` metres along its own z."""
    bricks = Pattern(builder.colour((0.80, 0.12, 0.42)), (every(y=0.8), every(x=0.9, z=0.9)), offset=-0.3)
    texture = builder.paint((0.80, 0.16, 0.68), pattern=bricks)
    builder.add("wall", (block(base, (0.3, builder.rng.uniform(1.5, 2.1), length), rotation), texture))


def fence(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, length: float) -> None:
    """A board fence, `length` metres along its own z."""
    boards = Pattern(builder.colour((0.07, 0.60, 0.40)), (every(x=0.8, z=0.8),), offset=0.1)
    texture = builder.paint((0.09, 0.50, 0.78), pattern=boards)
    builder.add("fence", (block(base, (0.12, builder.rng.uniform(1.1, 1.4), length), rotation), texture))


def tree(builder: SceneBuilder, base: np.ndarray) -> None:
    """A trunk under a crown of three spheres."""
    rng = builder.rng
    height, radius = rng.uniform(2.0, 3.0), rng.uniform(1.1, 1.9)
    trunk = (column(base, 0.2, height), builder.paint((0.07, 0.45, 0.32)))
    leaves = builder.paint((0.33, 0.70, 0.42), contrast=0.11)
    crown = base + UP * (height + 0.6 * radius)
    offsets = rng.uniform(-0.6, 0.6, (3, 3))
    lobes = [(Sphere(crown + offset * radius, radius * rng.uniform(0.7, 1.0)), leaves) for offset in offsets]
    builder.add("tree", trunk, *lobes)
    builder.contact(base, 1.1 * radius)


def bush(builder: SceneBuilder, base: np.ndarray) -> None:
    """Two overlapping spheres, half in the ground."""
    leaves = builder.paint((0.24, 0.75, 0.52), contrast=0.11)
    radius = builder.rng.uniform(0.7, 1.2)
    centres = [base + UP * 0.3 * radius + np.array([side, 0, side]) * radius for side in (-0.4, 0.4)]
    builder.add("bush", *((Sphere(centre, radius * builder.rng.uniform(0.8, 1.0)), leaves) for centre in centres))
    builder.contact(base, 1.6 * radius)


def car(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A car pointing along its own z: body, cabin and wheels."""
    rng = builder.rng
    paint = builder.paint(CAR_PAINT[rng.integers(len(CAR_PAINT))], spread=0.02, contrast=0.04)
    glass = builder.paint((0.58, 0.30, 0.22))
    width, length = rng.uniform(1.7, 1.85), rng.uniform(3.8, 4.5)
    middle = base + rotation @ np.array([0.0, 0.0, -0.1 * length])
    body = block(base, (width, 0.62, length), rotation, lift=0.28)
    cabin = block(middle, (0.86 * width, 0.48, 0.55 * length), rotation, lift=0.90)
    roof = block(middle, (0.84 * width, 0.08, 0.50 * length), rotation, lift=1.38)
    wheels = _wheels(builder, base, rotation, (width, length), radius=0.34)
    builder.add("car", (body, paint), (cabin, glass), (roof, paint), *wheels)


def bus(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A bus pointing along its own z, with a band of windows."""
    width, height, length = 2.4, builder.rng.uniform(2.7, 3.1), builder.rng.uniform(7.5, 9.0)
    band = Pattern(builder.colour((0.58, 0.25, 0.25)), (every(y=height),), phases=(2.6,), offset=0.45)
    paint = builder.paint((0.13, 0.90, 0.90), spread=0.02, contrast=0.04, pattern=band)
    body = block(base, (width, height, length), rotation, lift=0.35)
    builder.add("bus", (body, paint), *_wheels(builder, base, rotation, (width, length), radius=0.48))


def _wheels(
    builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray, size: tuple[float, float], *, radius: float
) -> list[Part]:
    """Four wheels under a body of `size` (width, length); also darkens the ground below it."""
    rubber = builder.paint((0.6, 0.1, 0.14), contrast=0.04)
    width, length = size
    for share in (-0.25, 0.25):
        builder.contact(base + rotation @ np.array([0.0, 0.0, share * length]), 0.7 * width)
    lying = rotation @ roll(np.pi / 2)  # the cylinder's axis across the vehicle
    corners = [(side * (width / 2 - 0.1), -radius, end * 0.32 * length) for side in (-1, 1) for end in (-1, 1)]
    centres = [base + rotation @ np.array(corner) for corner in corners]
    return [(Cylinder(centre, (radius, 0.12, radius), lying), rubber) for centre in centres]


def post(builder: SceneBuilder, base: np.ndarray, height: float, radius: float) -> np.ndarray:
    """A grey pole; returns its top [3]."""
    builder.add("pole", (column(base, radius, height), builder.paint((0.55, 0.08, 0.55))))
    return base + UP * height


def road_sign(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A blue or red sign on a pole."""
    top = post(builder, base, builder.rng.uniform(2.1, 2.5), 0.07)
    paint = SIGN_PAINT[builder.rng.integers(len(SIGN_PAINT))]
    rim = Pattern(builder.colour((0.1, 0.02, 1.0)), (every(y=0.9), every(x=0.9)), alternate=True)
    texture = builder.paint(paint, spread=0.01, contrast=0.03, pattern=rim)
    front = top + UP * 0.35 + rotation @ np.array([0.0, 0.0, -0.12])
    builder.add("traffic sign", (block(front - UP * 0.45, (0.9, 0.9, 0.06), rotation), texture))


def signal(builder: SceneBuilder, base: np.ndarray, rotation: np.ndarray) -> None:
    """A traffic light on a pole: a dark case with one of its lamps lit."""
    front = post(builder, base, 2.6, 0.09) + rotation @ np.array([0.0, 0.0, -0.15])
    parts: list[Part] = [(block(front, (0.5, 1.25, 0.35), rotation), builder.paint((0.35, 0.35, 0.16), contrast=0.04))]
    lit = builder.rng.integers(3)
    for number, hue in enumerate((0.0, 0.13, 0.38)):
        glow = builder.paint((hue, 0.95, 1.3 if number == lit else 0.35), spread=0.01, contrast=0.03)
        place = front + UP * (1.04 - 0.4 * number) + rotation @ np.array([0.0, 0.0, -0.15])
        parts.append((Sphere(place, 0.16), glow))
    builder.add("traffic light", *parts)
