"""The workbench both worlds are built on: paints objects in the scene's style, places them and keeps them apart."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dataset.demo.rendering import Scene, Surface
from dataset.demo.shapes import Box, Cylinder, Shape, Sphere, pitch, yaw
from dataset.demo.style import Style
from dataset.demo.texture import Pattern, Texture

UP = np.array([0.0, -1.0, 0.0])
# Turns a Plane to face up.
LYING = pitch(-np.pi / 2)
SKIN = (0.07, 0.45, 0.85)

Hsv = tuple[float, float, float]
Part = tuple[Shape, Texture]


@dataclass(kw_only=True)
class SceneBuilder:
    """A scene in the making."""

    rng: np.random.Generator  # decides everything left open
    style: Style  # the look of all surfaces
    class_names: tuple[str, ...]  # the world's
    wavelengths: tuple[float, ...]  # of textures, metres; chosen to be visible at the world's usual distances
    _surfaces: list[Surface] = field(default_factory=list, init=False)
    _contacts: list[tuple[float, float, float]] = field(default_factory=list, init=False)
    _circles: list[tuple[float, float, float]] = field(default_factory=list, init=False)
    _objects: int = field(default=0, init=False)

    def colour(self, hsv: Hsv, spread: float = 0.03) -> np.ndarray:
        """RGB near this hue (turns), saturation and value; `spread` is how far one object's hue strays."""
        hue, saturation, value = hsv
        return self.style.colour(
            hue + self.rng.uniform(-spread, spread),
            saturation * self.rng.uniform(0.85, 1.15),
            value * self.rng.uniform(0.88, 1.12),
        )

    def coat(self, colour: np.ndarray, *, contrast: float = 0.05, pattern: Pattern | None = None) -> Texture:
        """A mottled texture of this RGB colour: three waves in random directions for each of the wavelengths.

        Args:
            contrast: crest of a wave relative to the colour; hues vary a little from wave to wave.
        """
        contrast *= self.style.contrast
        lengths = np.repeat(self.style.grain * np.asarray(self.wavelengths), 3)
        directions = self.rng.normal(size=(len(lengths), 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        brightness = contrast * self.rng.choice([-1.0, 1.0], size=(len(lengths), 1))
        tints = colour * (brightness + contrast * self.rng.uniform(-0.35, 0.35, size=(len(lengths), 3)))
        waves = directions * (2 * np.pi / lengths)[:, None]
        phases = self.rng.uniform(0, 2 * np.pi, len(lengths))
        return Texture(colour=colour, waves=waves, phases=phases, tints=tints, pattern=pattern)

    def paint(
        self, hsv: Hsv, *, spread: float = 0.03, contrast: float = 0.05, pattern: Pattern | None = None
    ) -> Texture:
        """A mottled texture near this hue, saturation and value, see `colour`."""
        return self.coat(self.colour(hsv, spread), contrast=contrast, pattern=pattern)

    def add(self, name: str, *parts: Part, ground: bool = False) -> None:
        """Puts an object of class `name` into the scene; `ground` is darkened by what stands on it."""
        for shape, texture in parts:
            self._surfaces.append(Surface(shape, texture, self.class_names.index(name), self._objects, ground))
        self._objects += 1

    def contact(self, base: np.ndarray, radius: float) -> None:
        """Darkens the ground around the point `base` [3], as if an object stood there."""
        self._contacts.append((base[0], base[2], radius))

    def claim(self, base: np.ndarray, radius: float) -> bool:
        """Takes a circle of the ground around `base` [3], metres; false where it is taken already."""
        x, _, z = base
        if any(np.hypot(x - cx, z - cz) < radius + taken for cx, cz, taken in self._circles):
            return False
        self._circles.append((x, z, radius))
        return True

    def person(self, base: np.ndarray) -> None:
        """A person on the ground point `base` [3]: trousers, shirt, head."""
        height, radius = self.rng.uniform(1.55, 1.9), self.rng.uniform(0.22, 0.28)
        trousers = self.colour((self.rng.uniform(0.55, 0.7), 0.5, 0.35))
        shirt = self.colour((self.rng.uniform(0.85, 1.1), 0.75, 0.8))
        waist, neck = 0.46 * height, 0.84 * height
        body = Cylinder(base + UP * (waist + neck) / 2, (radius, (neck - waist) / 2, radius))
        head = Sphere(base + UP * (height - 0.15), 0.17)
        self.add(
            "person",
            (column(base, 0.85 * radius, waist), self.coat(trousers)),
            (body, self.coat(shirt)),
            (head, self.paint(SKIN, contrast=0.04)),
        )
        self.contact(base, 2 * radius)

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


def floor_point(x: float, z: float) -> np.ndarray:
    """The point [3] of the ground at x and z."""
    return np.array([x, 0.0, z])


def block(base: np.ndarray, size: tuple[float, float, float], rotation: np.ndarray, *, lift: float = 0.0) -> Box:
    """A box of `size` (width, height, depth) whose underside is `lift` metres above the ground point `base`."""
    width, height, depth = size
    return Box(base + UP * (lift + height / 2), (width / 2, height / 2, depth / 2), rotation)


def column(base: np.ndarray, radius: float, height: float) -> Cylinder:
    """An upright cylinder on the ground point `base`."""
    return Cylinder(base + UP * height / 2, (radius, height / 2, radius))


def camera_pose(position: tuple[float, float, float], *, yaw_angle: float, down: float) -> np.ndarray:
    """Camera to world [4,4]: at `position`, turned right by `yaw_angle` and looking down by `down`, both radians."""
    pose = np.eye(4)
    pose[:3, :3] = yaw(yaw_angle) @ pitch(-down)
    pose[:3, 3] = position
    return pose
