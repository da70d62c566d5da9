"""Which shape each pixel sees, how far away, and how the seen point moves from pixel to pixel.

Pixel (u, v) with integer u, v is a pixel's **centre**; its ray is `camera_rotation @ K^-1 @ [u, v, 1]`. That direction
has depth 1 along the optical axis, so a ray parameter *is* the depth in metres.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dataset.demo.shapes import NEAREST, Shape

# The corners of a box of half size 1, [8,3].
CORNERS = np.stack(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0]), axis=-1).reshape(-1, 3)


class Rays(NamedTuple):
    """Rays through one camera."""

    plane: np.ndarray  # [N,2], where each crosses the plane at depth 1, camera coordinates
    directions: np.ndarray  # [N,3] world, with depth 1 along the optical axis


class SurfacePoints(NamedTuple):
    """Points on one shape, in the shape's own frame."""

    points: np.ndarray  # [N,3] metres
    normals: np.ndarray  # [N,3] unit, outward
    du: np.ndarray  # [N,3] how the seen point moves on the surface one pixel to the right, metres
    dv: np.ndarray  # [N,3] and one pixel down


class View:
    """Shapes seen by one camera.

    Args:
        shapes: all there is.
        pose: [4,4] camera to world.
        intrinsics: [3,3] in pixels, without skew.
    """

    def __init__(self, shapes: Sequence[Shape], pose: np.ndarray, intrinsics: np.ndarray) -> None:
        self.shapes = shapes
        self.origin = pose[:3, 3]
        self._rotation = pose[:3, :3]
        self._from_pixels = np.linalg.inv(intrinsics)
        # World direction of one pixel to the right and of one down.
        self._steps = (self._rotation @ self._from_pixels)[:, :2].T  # [2,3]
        self._windows = _windows(shapes, self.origin, self._rotation)

    def rays(self, pixels: np.ndarray) -> Rays:
        """Rays through pixel positions [N,2] (u, v), which need not be whole numbers."""
        homogeneous = np.column_stack([pixels, np.ones(len(pixels))])
        plane = (homogeneous @ self._from_pixels.T)[:, :2]
        return Rays(plane, plane @ self._rotation[:, :2].T + self._rotation[:, 2])

    def cast(self, rays: Rays) -> tuple[np.ndarray, np.ndarray]:
        """The nearest shape along each ray.

        Returns:
            index: int [N] into `shapes`, -1 where a ray meets nothing.
            depth: float64 [N] metres along the optical axis, infinite where a ray meets nothing.
        """
        index = np.full(len(rays.plane), -1)
        depth = np.full(len(rays.plane), np.inf)
        x, y = np.ascontiguousarray(rays.plane.T)
        lefts, rights, tops, bottoms = self._windows.T
        overlaps = (lefts <= x.max()) & (rights >= x.min()) & (tops <= y.max()) & (bottoms >= y.min())
        for number in np.flatnonzero(overlaps).tolist():
            left, right, top, bottom = self._windows[number]
            chosen = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
            shape = self.shapes[number]
            origin = (self.origin - shape.centre) @ shape.rotation
            entry = shape.entry(origin, rays.directions[chosen] @ shape.rotation)
            nearer = entry < depth[chosen]
            chosen = chosen[nearer]
            depth[chosen] = entry[nearer]
            index[chosen] = number
        return index, depth

    def surface_points(self, number: int, directions: np.ndarray, depth: np.ndarray) -> SurfacePoints:
        """Where rays in world directions [N,3] meet shape `number` at depths [N]."""
        shape = self.shapes[number]
        directions = directions @ shape.rotation
        points = (self.origin - shape.centre) @ shape.rotation + depth[:, None] * directions
        normals = shape.normal(points)
        facing = np.minimum(np.einsum("nc,nc->n", normals, directions), -1e-6)
        # While the ray turns by a pixel, the point stays on the tangent plane.
        du, dv = (
            depth[:, None] * (step - ((normals @ step) / facing)[:, None] * directions)
            for step in self._steps @ shape.rotation
        )
        return SurfacePoints(points, normals, du, dv)


def _windows(shapes: Sequence[Shape], origin: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Bounds [S,4] (left, right, top, bottom) at depth 1 of rays that may meet each shape; crossed where none may."""
    centres = np.array([shape.centre for shape in shapes]).reshape(-1, 3)
    axes = np.array([shape.rotation for shape in shapes]).reshape(-1, 3, 3)
    extents = np.array([shape.half for shape in shapes]).reshape(-1, 3)
    endless = ~np.isfinite(extents).all(axis=1)
    offsets = CORNERS * np.where(endless[:, None], 0.0, extents)[:, None]  # [S,8,3] own frame
    corners = (centres[:, None] + offsets @ axes.transpose(0, 2, 1) - origin) @ rotation  # [S,8,3] camera frame
    ahead = corners[..., 2].min(axis=1) > NEAREST
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = corners[..., :2] / corners[..., 2:]
    windows = np.stack([seen.min(axis=1), seen.max(axis=1)], axis=-1).reshape(-1, 4)  # [S,2,2] -> [S,4]
    everywhere = np.array([-np.inf, np.inf, -np.inf, np.inf])
    windows[endless | ~ahead] = everywhere  # a shape beside the camera may show up anywhere
    windows[~endless & (corners[..., 2].max(axis=1) <= 0)] = -everywhere
    return windows
