"""A scene and the picture a camera takes of it: colours, depth, normals, objects, classes and edges.

Light is purely Lambertian (a sun and an all-round sky), so a surface point has one colour from wherever it is seen;
only haze depends on the distance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dataset.demo.classes import SKY
from dataset.demo.raycast import Rays, View
from dataset.demo.shapes import Shape
from dataset.demo.style import Style
from dataset.demo.texture import LENS, Texture

# Rays handled at a time: bounds the memory of a 2048x1024 frame to some hundred megabytes.
CHUNK = 1 << 15
# Two neighbouring pixels of one object whose normals differ by more than this have a crease between them.
CREASE_DEGREES = 30.0
# Where the four rays of a supersampled pixel go, pixels from its centre.
QUARTERS = np.array([(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)])


@dataclass(frozen=True, eq=False)
class Surface:
    """One shape with its looks."""

    shape: Shape
    texture: Texture
    class_index: int  # into the scene's `class_names`
    object_id: int  # shared by all parts of an object
    ground: bool  # whether objects standing on it darken it, see `Scene.contacts`


@dataclass(frozen=True, eq=False)
class Frame:
    """What one camera sees; all maps are [H,W] at pixel centres."""

    rgb: np.ndarray  # uint8 [H,W,3]; the one map that is averaged over a pixel's area along edges
    depth: np.ndarray  # float64 metres along the optical axis, infinite in the sky
    normals: np.ndarray  # float64 [H,W,3] unit vectors, x right, y down, z **towards the camera**; zero in the sky
    object_id: np.ndarray  # int32, -1 in the sky
    classes: np.ndarray  # uint8 index into the scene's `class_names`
    edges: np.ndarray  # bool, both sides of every object boundary and crease


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A fixed world and the path a camera takes through it."""

    surfaces: tuple[Surface, ...]
    class_names: tuple[str, ...]  # with "sky" where rays can leave the scene
    style: Style
    sun_direction: np.ndarray  # [3] unit, world, towards the sun
    exposure: float  # factor on all colours
    contacts: np.ndarray  # [C,3] x, z and radius of dark spots on the ground under objects, metres
    path: Callable[[int], np.ndarray]  # camera to world [4,4] at an integer time step

    def render(self, camera_to_world: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> Frame:
        """Picture of `size` (W, H) from pose [4,4] with intrinsics [3,3] in pixels."""
        width, height = size
        view = View([surface.shape for surface in self.surfaces], camera_to_world, intrinsics)
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)  # [H*W,2]
        rgb, normals = np.empty((len(pixels), 3)), np.zeros((len(pixels), 3))
        depth = np.empty(len(pixels))
        numbers = np.empty(len(pixels), dtype=np.int64)  # of the surfaces
        for start in range(0, len(pixels), CHUNK):
            part = slice(start, start + CHUNK)
            rays = view.rays(pixels[part])
            numbers[part], depth[part] = view.cast(rays)
            rgb[part] = self._shade(view, rays, numbers[part], depth[part], normals[part])

        # World to camera, then z turned towards the camera.
        normals = (normals @ camera_to_world[:3, :3]) * np.array([1.0, 1.0, -1.0])
        normals, index = normals.reshape(height, width, 3), numbers.reshape(height, width)
        sky = self.class_names.index(SKY) if SKY in self.class_names else 0
        objects = np.array([surface.object_id for surface in self.surfaces] + [-1], dtype=np.int32)[index]
        classes = np.array([surface.class_index for surface in self.surfaces] + [sky], dtype=np.uint8)[index]
        edges = boundaries(objects, normals)
        jagged = np.flatnonzero(edges | boundaries(index, normals))
        rgb[jagged] = self._supersample(view, pixels[jagged])
        # The lens softens silhouettes, too, which no texture filter reaches.
        seen = cv2.GaussianBlur(rgb.reshape(height, width, 3), (0, 0), LENS, borderType=cv2.BORDER_REPLICATE)
        return Frame(
            (np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8),
            depth.reshape(height, width),
            normals,
            objects,
            classes,
            edges,
        )

    def _supersample(self, view: View, pixels: np.ndarray) -> np.ndarray:
        """Colours [N,3] of pixels [N,2], each the mean of four rays spread over its area."""
        colours = np.zeros((len(pixels), 3))
        for start in range(0, len(pixels), CHUNK):
            part = slice(start, start + CHUNK)
            samples = (pixels[part, None] + QUARTERS).reshape(-1, 2)  # [4N,2]
            rays = view.rays(samples)
            shades = self._shade(view, rays, *view.cast(rays), np.zeros_like(rays.directions))
            colours[part] = shades.reshape(-1, len(QUARTERS), 3).mean(axis=1)
        return colours

    def _shade(self, view: View, rays: Rays, index: np.ndarray, depth: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Colours [N,3] of what the rays see; fills `normals` [N,3] with world normals where they see a surface."""
        distance = np.linalg.norm(rays.directions, axis=1)
        colours = self._sky(rays.directions / distance[:, None])
        for number in np.unique(index[index >= 0]):
            chosen = np.flatnonzero(index == number)
            surface = self.surfaces[number]
            directions = rays.directions[chosen]
            seen = view.surface_points(number, directions, depth[chosen])
            normals[chosen] = world_normals = seen.normals @ surface.shape.rotation.T
            colour = surface.texture.sample(seen.points, seen.du, seen.dv) * self._light(world_normals)
            if surface.ground:
                colour *= self._contact_light(view.origin + depth[chosen, None] * directions)[:, None]
            clear = np.exp(-depth[chosen] * distance[chosen] / self.style.haze)[:, None]
            colours[chosen] = colour * clear + np.asarray(self.style.horizon) * (1 - clear)
        return colours * self.exposure

    def _light(self, normals: np.ndarray) -> np.ndarray:
        """Light [N,3] that falls on surfaces with world normals [N,3]."""
        upward = 0.85 - 0.15 * normals[:, 1:2]
        direct = np.maximum(normals @ self.sun_direction, 0)[:, None]
        return upward * np.asarray(self.style.sky_light) + direct * np.asarray(self.style.sun)

    def _contact_light(self, points: np.ndarray) -> np.ndarray:
        """Share [N] of the light that reaches ground points [N,3] between the objects standing there."""
        # Single precision: this is the one quantity with a value for each pair of point and object.
        points, contacts = points.astype(np.float32), self.contacts.astype(np.float32)
        near = (points[:, :1] - contacts[:, 0]) ** 2 + (points[:, 2:] - contacts[:, 1]) ** 2  # [N,C]
        near /= contacts[:, 2] ** 2
        return np.prod(1 - 0.55 * np.exp(-(near**2)), axis=1)

    def _sky(self, directions: np.ndarray) -> np.ndarray:
        """Sky colours [N,3] in world directions [N,3]: a gradient with faint clouds, infinitely far away."""
        height = np.clip(-directions[:, 1:2], 0, 1) ** 0.6
        clouds = np.sin(9 * directions[:, :1] + 3) * np.sin(24 * directions[:, 1:2] + 2 * directions[:, :1])
        zenith, horizon = np.asarray(self.style.zenith), np.asarray(self.style.horizon)
        share = np.clip(height - 0.08 * clouds, 0, 1)
        return horizon + share * (zenith - horizon)


def boundaries(ids: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Bool [H,W]: both sides of where ids [H,W] change, or normals [H,W,3] by more than CREASE_DEGREES."""
    edges = np.zeros(ids.shape, dtype=bool)
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        cosine = np.einsum("hwc,hwc->hw", normals[here], normals[there])
        crease = (ids[here] >= 0) & (cosine < np.cos(np.radians(CREASE_DEGREES)))
        change = (ids[here] != ids[there]) | crease
        edges[here] |= change
        edges[there] |= change
    return edges
