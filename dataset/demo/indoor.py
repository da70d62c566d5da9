"""The indoor world: one furnished room, seen by a hand-held camera (NYUv2-like).

No wall, ceiling or piece of furniture is parallel to the optical axis, whatever the camera's jitter: side walls close
in a little, the ceiling comes down a little. Every visible flat surface thus has a normal with z clearly towards the
camera, which makes the sign of a normal computed from depth (fixed by "z positive") a matter of fact, not of noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset.demo import furniture
from dataset.demo.builder import LYING, SceneBuilder, camera_pose, floor_point
from dataset.demo.classes import INDOOR
from dataset.demo.furniture import Spot
from dataset.demo.rendering import Scene
from dataset.demo.shapes import Plane, pitch, yaw
from dataset.demo.style import Style
from dataset.demo.texture import Pattern, every

CAMERA_HEIGHT = 1.4
CEILING_SLOPE = 10.0  # degrees
LOOKING_DOWN = (6.0, 8.0)  # degrees, always less than the ceiling's slope
# What may be at a wall, with its probability.
AT_WALLS = {
    furniture.cabinet: 0.20,
    furniture.bookshelf: 0.18,
    furniture.sofa: 0.18,
    furniture.door: 0.14,
    furniture.window: 0.20,
    furniture.picture: 0.10,
}
# What may stand free: its probability, the radius of floor it needs, and its least distance from the middle. Angular
# things keep to one side of all places the camera may be at, so that only the side turned to it is seen.
FREE = (
    (furniture.table, 0.85, 0.8, 0.65),
    (furniture.person, 0.6, 0.45, 0.1),
    (furniture.ball, 0.8, 0.5, 0.1),
    (furniture.pillar, 0.5, 0.4, 0.1),
    (furniture.box, 0.8, 0.55, 0.65),
    (furniture.ball, 0.6, 0.5, 0.1),
    (furniture.lamp, 0.5, 0.35, 0.1),
    (furniture.box, 0.6, 0.55, 0.65),
    (furniture.ball, 0.5, 0.5, 0.1),
)


@dataclass(frozen=True)
class Room:
    """Measures in metres: distance of the back wall, of the side walls (at the camera), ceiling height there."""

    back: float
    left: float
    right: float
    height: float
    toe_in: float  # radians between a side wall and the optical axis

    def half_width(self, side: int, z: float) -> float:
        """Distance from the middle to the left (-1) or right (1) wall at depth z."""
        return (self.left if side < 0 else self.right) - z * np.tan(self.toe_in)


def build_indoor(rng: np.random.Generator, style: Style) -> Scene:
    """A random room."""
    builder = SceneBuilder(rng=rng, style=style, class_names=tuple(INDOOR), wavelengths=(0.25, 0.5, 1.1))
    room = Room(
        back=rng.uniform(4.2, 7.0),
        left=rng.uniform(2.5, 3.4),
        right=rng.uniform(2.5, 3.4),
        height=rng.uniform(3.0, 3.3),
        toe_in=np.radians(rng.uniform(9, 13)),
    )
    back, left, right = _shell(builder, room)
    width = min(room.half_width(-1, room.back), room.half_width(1, room.back))
    for slot in (-0.62, 0.0, 0.62):
        base = back.centre + slot * width * back.rotation[:, 0]
        # Beside the middle, furniture at the back wall is turned towards the middle.
        standing = yaw(-np.sign(slot) * np.radians(11)) @ back.rotation
        _at_wall(builder, Spot(base, back.rotation, standing), 0.55 * width)
    for wall, forward in ((left, 1.0), (right, -1.0)):
        for share in (0.48, 0.8):
            base = wall.centre + forward * share * room.back * wall.rotation[:, 0]
            _at_wall(builder, Spot(base, wall.rotation, wall.rotation), rng.uniform(0.9, 1.4))
    _mat(builder, room)
    _in_the_room(builder, room)
    return builder.finish(_hand_held(rng))


def _hand_held(rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """A camera path that sways around one spot."""
    x, y, z = rng.uniform(-0.15, 0.15), -CAMERA_HEIGHT + rng.uniform(-0.06, 0.06), rng.uniform(-0.2, 0.2)
    heading, down = np.radians(rng.uniform(-3, 3)), np.radians(rng.uniform(*LOOKING_DOWN))
    phase = rng.uniform(-0.5, 0.5)

    def pose(step: int) -> np.ndarray:
        swing = np.sin(0.27 * step + phase)
        position = (x + 0.3 * swing, y + 0.03 * np.sin(0.2 * step), z + 0.3 * np.sin(0.14 * step))
        return camera_pose(position, yaw_angle=heading + np.radians(2.5) * swing, down=down)

    return pose


def _shell(builder: SceneBuilder, room: Room) -> tuple[Plane, Plane, Plane]:
    """Floor, ceiling and the three walls; returns back, left and right wall, their centres on the floor."""
    rng = builder.rng
    tone = builder.colour((rng.choice([0.09, 0.14, 0.30, 0.52]), 0.20, 0.80))
    beside = np.pi / 2 - room.toe_in
    walls = (
        Plane((0.0, 0.0, room.back), np.inf, yaw(np.radians(rng.uniform(-3, 3)))),
        Plane((-room.left, 0.0, 0.0), np.inf, yaw(-beside)),
        Plane((room.right, 0.0, 0.0), np.inf, yaw(beside)),
    )
    for wall in walls:
        builder.add("wall", (wall, builder.coat(tone * rng.uniform(0.92, 1.0))))

    planks = Pattern(builder.colour((0.07, 0.60, 0.42)), (every(x=rng.uniform(0.5, 0.7)),), offset=0.3)
    floor = Plane(np.zeros(3), np.inf, LYING)
    builder.add("floor", (floor, builder.paint((0.08, 0.55, 0.60), pattern=planks)), ground=True)
    ceiling = Plane((0.0, -room.height, 0.0), np.inf, pitch(np.pi / 2 - np.radians(CEILING_SLOPE)))
    builder.add("ceiling", (ceiling, builder.paint((0.12, 0.05, 0.95), contrast=0.04)))
    return walls


def _at_wall(builder: SceneBuilder, spot: Spot, width: float) -> None:
    """One thing on a wall or standing in front of it."""
    thing = tuple(AT_WALLS)[builder.rng.choice(len(AT_WALLS), p=tuple(AT_WALLS.values()))]
    thing(builder, spot, width)


def _mat(builder: SceneBuilder, room: Room) -> None:
    rng = builder.rng
    if rng.uniform() > 0.75:
        return
    centre = (rng.uniform(-0.7, 0.7), -0.01, rng.uniform(2.9, room.back - 1.0))
    weave = Pattern(builder.colour((0.0, 0.75, 0.45)), (every(x=0.5), every(y=0.5)), alternate=True)
    texture = builder.paint((0.99, 0.60, 0.75), pattern=weave)
    mat = Plane(centre, (rng.uniform(0.8, 1.2), rng.uniform(0.6, 0.9), 0.0), LYING)
    builder.add("floor mat", (mat, texture), ground=True)


def _in_the_room(builder: SceneBuilder, room: Room) -> None:
    """The things that stand free: each with its chance to be there."""
    rng = builder.rng
    for thing, chance, radius, aside in FREE:
        if rng.uniform() > chance:
            continue
        for _ in range(20):
            z = rng.uniform(2.2, room.back - 0.3 - radius)
            side = rng.choice([-1, 1])
            limit = min(0.5 * z + 0.2, room.half_width(side, z) - radius)
            base = floor_point(side * rng.uniform(aside, max(aside, limit)), z)
            if aside <= limit and builder.claim(base, radius):
                thing(builder, base, yaw(-side * np.radians(rng.uniform(11, 40))))
                break
