"""Shapes of the demo world, each with an exact ray intersection and an analytic normal in its own coordinates.

Axes everywhere: x right, y **down**, z forward, in metres. A shape's own frame sits at its centre; the columns of
`rotation` are its axes in the world. Rays are `origin + t * direction`; a shape only ever sees them in its own frame.
"""

from dataclasses import dataclass, field

import numpy as np

# A hit nearer than this is the camera touching a surface, which no scene allows.
NEAREST = 1e-6


def yaw(angle: float) -> np.ndarray:
    """Rotation [3,3] about the vertical by `angle` radians; positive turns the camera's view to the right."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def pitch(angle: float) -> np.ndarray:
    """Rotation [3,3] about the x axis by `angle` radians; negative turns the camera's view down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def roll(angle: float) -> np.ndarray:
    """Rotation [3,3] about the z axis by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, eq=False, kw_only=True)
class Shape:
    """What all shapes share: where they stand.

    Args:
        centre: [3] metres, in the world.
        rotation: [3,3], columns are the shape's own axes in the world.
    """

    centre: np.ndarray
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", np.asarray(self.centre, dtype=np.float64))

    @property
    def extent(self) -> tuple[float, float, float]:
        """Half sizes along the own axes of the box that just holds the shape, metres, possibly infinite."""
        raise NotImplementedError

    def entry(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Ray parameter [N] of the first hit, infinite where missed; origin [3], directions [N,3], own frame."""
        raise NotImplementedError

    def normal(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals [N,3] at surface points [N,3], both in the own frame."""
        raise NotImplementedError


def _positive(sizes: tuple[float, ...], shape: str) -> None:
    if not all(size > 0 for size in sizes):
        raise ValueError(f"{shape}: sizes must be positive, got {sizes}")


def _first(enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """First hit [N] of a convex solid that the ray is inside of from `enter` to `leave`."""
    return np.where((enter <= leave) & (enter > NEAREST), enter, np.inf)


@dataclass(frozen=True, eq=False, kw_only=True)
class Plane(Shape):
    """A one-sided rectangle in the own x-y plane, facing own -z (towards an unrotated camera).

    Args:
        half: half width and half height in metres, each possibly infinite.
    """

    half: tuple[float, float] = (np.inf, np.inf)

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self.half, "Plane")

    @property
    def extent(self) -> tuple[float, float, float]:
        return (*self.half, 0.0)

    def entry(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        if origin[2] >= 0:  # seen from behind
            return np.full(len(directions), np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = -origin[2] / directions[:, 2]
            inside = np.abs(origin[0] + t * directions[:, 0]) <= self.half[0]
            inside &= np.abs(origin[1] + t * directions[:, 1]) <= self.half[1]
        return np.where(inside & (directions[:, 2] > 0), t, np.inf)

    def normal(self, points: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.array([0.0, 0.0, -1.0]), points.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Box(Shape):
    """A solid box.

    Args:
        half: half sizes along the own x, y and z axes, metres.
    """

    half: tuple[float, float, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self.half, "Box")

    @property
    def extent(self) -> tuple[float, float, float]:
        return self.half

    def entry(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        enter, leave = np.full(len(directions), -np.inf), np.full(len(directions), np.inf)
        for start, way, half in zip(origin, directions.T, self.half, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):  # rays parallel to a face: +-inf is right
                low, high = (-half - start) / way, (half - start) / way
            enter, leave = np.maximum(enter, np.minimum(low, high)), np.minimum(leave, np.maximum(low, high))
        return _first(enter, leave)

    def normal(self, points: np.ndarray) -> np.ndarray:
        face = np.argmax(np.abs(points) / np.asarray(self.half), axis=1)
        rows = np.arange(len(points))
        normals = np.zeros_like(points)
        normals[rows, face] = np.sign(points[rows, face])
        return normals


@dataclass(frozen=True, eq=False, kw_only=True)
class Cylinder(Shape):
    """A solid, capped cylinder around the own y axis.

    Args:
        radius: metres.
        half_height: half the length along the axis, metres.
    """

    radius: float
    half_height: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive((self.radius, self.half_height), "Cylinder")

    @property
    def extent(self) -> tuple[float, float, float]:
        return (self.radius, self.half_height, self.radius)

    def entry(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        # The cylinder is where the endless tube and the slab between the caps overlap.
        dx, dy, dz = directions.T
        a = dx * dx + dz * dz
        b = origin[0] * dx + origin[2] * dz
        c = origin[0] ** 2 + origin[2] ** 2 - self.radius**2
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sqrt(b * b - a * c)  # NaN where the ray misses the tube: every comparison is false
            tube_in, tube_out = (-b - root) / a, (-b + root) / a
            low, high = (-self.half_height - origin[1]) / dy, (self.half_height - origin[1]) / dy
        along = a == 0  # parallel to the axis: in the tube for ever or never
        tube_in = np.where(along, -np.inf if c <= 0 else np.inf, tube_in)
        tube_out = np.where(along, np.inf, tube_out)
        return _first(np.maximum(tube_in, np.minimum(low, high)), np.minimum(tube_out, np.maximum(low, high)))

    def normal(self, points: np.ndarray) -> np.ndarray:
        across = np.hypot(points[:, 0], points[:, 2])
        on_cap = np.abs(points[:, 1]) / self.half_height > across / self.radius
        side = points * np.array([1.0, 0.0, 1.0]) / np.maximum(across, 1e-12)[:, None]
        cap = np.sign(points) * np.array([0.0, 1.0, 0.0])
        return np.where(on_cap[:, None], cap, side)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sphere(Shape):
    """A solid sphere.

    Args:
        radius: metres.
    """

    radius: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive((self.radius,), "Sphere")

    @property
    def extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.radius)

    def entry(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        a = np.einsum("nc,nc->n", directions, directions)
        b = directions @ origin  # [N]
        c = origin @ origin - self.radius**2
        with np.errstate(invalid="ignore"):
            root = np.sqrt(b * b - a * c)  # NaN where missed
        return _first((-b - root) / a, (-b + root) / a)

    def normal(self, points: np.ndarray) -> np.ndarray:
        return points / np.linalg.norm(points, axis=1, keepdims=True)
