"""The workbench both worlds are built on: collects surfaces, paints them in the scene's style, keeps objects apart."""

from collections.abc import Callable

import numpy as np

from dataset.demo.rendering import Scene, Surface
from dataset.demo.shapes import Box, Cylinder, Shape, Sphere, pitch, yaw
from dataset.demo.style import Style
from dataset.demo.texture import Pattern, Texture, mottled

UP = np.array([0.0, -1.0, 0.0])
# Turns a Plane to face up.
LYING = pitch(-np.pi / 2)
SKIN = (0.07, 0.45, 0.85)


class SceneBuilder:
    """A scene in the making.

    Args:
        rng: decides everything left open.
        style: the look of all surfaces.
        class_names: the world's classes.
        wavelengths: of mottled textures, metres; chosen to be visible at the world's usual distances.
    """

    def __init__(
        self,
        *,
        rng: np.random.Generator,
        style: Style,
        class_names: tuple[str, ...],
        wavelengths: tuple[float, ...],
    ) -> None:
        self.rng = rng
        self.style = style
        self.class_names = class_names
        self.wavelengths = wavelengths
        self._surfaces: list[Surface] = []
        self._contacts: list[tuple[float, float, float]] = []
        self._circles: list[tuple[float, float, float]] = []
        self._objects = 0

    def new_object(self) -> int:
        """A fresh object id."""
        self._objects += 1
        return self._objects - 1

    def colour(self, hsv: tuple[float, float, float], spread: float = 0.03) -> np.ndarray:
        """RGB near this hue (turns), saturation and value; `spread` is how far one object's hue strays."""
        hue, saturation, value = hsv
        return self.style.colour(
            hue + self.rng.uniform(-spread, spread),
            saturation * self.rng.uniform(0.85, 1.15),
            value * self.rng.uniform(0.88, 1.12),
        )

    def paint(self, colour: np.ndarray, *, contrast: float = 0.05, pattern: Pattern | None = None) -> Texture:
        """A mottled texture of this RGB colour in the scene's style."""
        return mottled(
            self.rng,
            colour,
            wavelengths=tuple(self.style.grain * length for length in self.wavelengths),
            contrast=contrast * self.style.contrast,
            pattern=pattern,
        )

    def add(self, shape: Shape, texture: Texture, name: str, object_id: int, *, ground: bool = False) -> None:
        """Puts a surface of class `name` into the scene as a part of an object."""
        surface = Surface(
            shape=shape,
            texture=texture,
            class_index=self.class_names.index(name),
            object_id=object_id,
            ground=ground,
        )
        self._surfaces.append(surface)

    def contact(self, x: float, z: float, radius: float) -> None:
        """Darkens the ground around (x, z), as if an object stood there."""
        self._contacts.append((x, z, radius))

    def claim(self, x: float, z: float, radius: float) -> bool:
        """Takes a circle of the ground, metres; false where it is taken already."""
        if any(np.hypot(x - cx, z - cz) < radius + taken for cx, cz, taken in self._circles):
            return False
        self._circles.append((x, z, radius))
        return True

    def person(self, x: float, z: float) -> None:
        """A person on the ground: trousers, shirt, head."""
        person = self.new_object()
        height = self.rng.uniform(1.55, 1.9)
        radius = self.rng.uniform(0.22, 0.28)
        trousers = self.colour((self.rng.uniform(0.55, 0.7), 0.5, 0.35))
        shirt = self.colour((self.rng.uniform(0.85, 1.1), 0.75, 0.8))
        waist, neck = 0.46 * height, 0.84 * height
        legs = Cylinder(centre=(x, -waist / 2, z), radius=0.85 * radius, half_height=waist / 2)
        body = Cylinder(centre=(x, -(waist + neck) / 2, z), radius=radius, half_height=(neck - waist) / 2)
        head = Sphere(centre=(x, -height + 0.15, z), radius=0.17)
        self.add(legs, self.paint(trousers), "person", person)
        self.add(body, self.paint(shirt), "person", person)
        self.add(head, self.paint(self.colour(SKIN), contrast=0.04), "person", person)
        self.contact(x, z, 2 * radius)

    def block(
        self,
        rotation: np.ndarray,
        base: np.ndarray,
        size: tuple[float, float, float],
        *,
        lift: float = 0.0,
    ) -> Box:
        """A box of `size` (width, height, depth) whose underside is `lift` metres above the ground point `base`."""
        width, height, depth = size
        centre = base + UP * (lift + height / 2)
        return Box(centre=centre, rotation=rotation, half=(width / 2, height / 2, depth / 2))

    def finish(self, path: Callable[[int], np.ndarray]) -> Scene:
        """The finished scene, with its light; the camera follows `path`."""
        return Scene(
            surfaces=tuple(self._surfaces),
            class_names=self.class_names,
            style=self.style,
            sun_direction=self.style.sun_direction(self.rng.uniform(-20, 20)),
            exposure=self.rng.uniform(0.93, 1.07),
            contacts=np.array(self._contacts).reshape(-1, 3),
            path=path,
        )


def camera_pose(position: tuple[float, float, float], *, yaw_angle: float, down: float) -> np.ndarray:
    """Camera to world [4,4]: at `position`, turned right by `yaw_angle` and looking down by `down`, both radians."""
    pose = np.eye(4)
    pose[:3, :3] = yaw(yaw_angle) @ pitch(-down)
    pose[:3, 3] = position
    return pose
