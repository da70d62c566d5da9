"""Units of depth, resizing of predictions, cameras, surface normals and warping between views.

Camera frame: x right, y down, z forward, metres. Pixel (u, v) = (column, row) has its centre at integer coordinates.
Intrinsics K are [[fx, 0, u0], [0, fy, v0], [0, 0, 1]]: no skew. Normals have z *towards the camera*, that is negated: a
wall seen face-on has the normal (0, 0, 1), a floor seen from above (0, -1, 0).

Everything expects float32 or float64. Products of matrices are written out as sums, because `matmul` would run in
bfloat16 under autocast and in TF32 where a GPU is set to it; either moves warped pixels by whole columns.
"""

import functools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TensorOrArray = TypeVar("TensorOrArray", Tensor, np.ndarray)

NEAREST_Z = 1e-4  # metres, of a projected point: those behind the camera land far outside the image

# The eight neighbours as (row, column) steps; v is down, so "up" is row - 1.
_RIGHT, _LEFT, _UP, _DOWN = (0, 1), (0, -1), (-1, 0), (1, 0)
_UP_RIGHT, _UP_LEFT, _DOWN_RIGHT, _DOWN_LEFT = (-1, 1), (-1, -1), (1, 1), (1, -1)
# Pairs whose cross product, on any surface the camera sees, points towards the camera.
_BASES = ((_RIGHT, _UP), (_LEFT, _DOWN), (_DOWN_RIGHT, _UP_RIGHT), (_UP_LEFT, _DOWN_LEFT))


def metres_to_inverse(metres: TensorOrArray) -> TensorOrArray:
    """Normalised inverse depth 65536 / (cm + 1) of a depth in metres, the unit inside the network. Any shape."""
    return 655.36 / (metres + 0.01)


def inverse_to_metres(inverse: TensorOrArray) -> TensorOrArray:
    """Depth in metres of a normalised inverse depth, which must be positive. Any shape."""
    return 655.36 / inverse - 0.01


def disparity_to_depth(disparity: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """Depth of a disparity in (0, 1): 0 is `max_depth`, 1 is `min_depth`, linear in inverse depth. Any shape."""
    return 1 / (1 / max_depth + (1 / min_depth - 1 / max_depth) * disparity)


def resize(maps: Tensor, size: tuple[int, int], *, align_corners: bool = True) -> Tensor:
    """Bilinear resize of [B, C, h, w] to (H, W); the same tensor if it has that size.

    With `align_corners` the centres of the corner pixels coincide, without it the edges of the images.
    """
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)


def unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """The points [B, 3, H, W] of the pixels, metres in the camera frame.

    `depth` [B, 1, H, W] is in metres along z, `intrinsics` [B, 3, 3] are those of an image of this size.
    """
    u, v = _pixel_grid(depth)
    fx, fy, u0, v0 = (value.view(-1, 1, 1, 1) for value in _camera(intrinsics))
    x = (u - u0) / fx  # [B, 1, 1, W]
    y = (v - v0) / fy  # [B, 1, H, 1]
    return torch.cat([depth * x, depth * y, depth], dim=1)  # [B, 3, H, W]


def normals_from_depth(depth: Tensor, mask: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Surface normals of a depth map: the normalised sum of cross products of neighbour vectors in four bases.

    z is made positive by dropping its sign, not by turning the vector round: the products already face the camera, z is
    negative only by noise or at grazing angles, and a road with the normal (0, -1, -0.001) must not become a ceiling.

    Args:
        depth: [B, 1, H, W] metres, or another depth-like map of a surface.
        mask: [B, 1, H, W] bool, true where depth is measured; elsewhere depth may be anything.
        intrinsics: [B, 3, 3], of an image of this size.

    Returns:
        Unit normals [B, 3, H, W] (x right, y down, z towards the camera), zero where not valid; and [B, 1, H, W] bool,
        true where all of the 3x3 neighbourhood is measured and inside the image.

    Raises:
        ValueError: for a map with fewer than 3 rows or columns.
    """
    height, width = depth.shape[-2:]
    if height < 3 or width < 3:
        raise ValueError(f"normals need a depth map of at least 3x3 pixels, got {height}x{width}")
    points = unproject(torch.where(mask, depth, 0.0), intrinsics)
    centre = points[..., 1:-1, 1:-1]

    def towards(row: int, column: int) -> Tensor:
        """Vectors from every inner point to its neighbour one step away, [B, 3, H-2, W-2]."""
        return points[..., 1 + row : height - 1 + row, 1 + column : width - 1 + column] - centre

    x, y, z = _add_cross_products([(towards(*first), towards(*second)) for first, second in _BASES])
    # The products shrink with the square of a pixel's size, 1e-13 for near points: no larger epsilon would do.
    length = (x * x + y * y + z * z).clamp(min=1e-36).sqrt()
    normals = torch.stack([x / length, y / length, z.abs() / length], dim=1)  # [B, 3, H-2, W-2]

    rows = mask[..., :-2, :] & mask[..., 1:-1, :] & mask[..., 2:, :]
    inner = rows[..., :-2] & rows[..., 1:-1] & rows[..., 2:]  # [B, 1, H-2, W-2], whole 3x3 measured
    return F.pad(torch.where(inner, normals, 0.0), [1] * 4), F.pad(inner, [1] * 4, value=False)


def _add_cross_products(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """x, y, z, each [B, h, w], of the sum of a x b over pairs of [B, 3, h, w].

    Plane by plane: `linalg.cross` takes ten times as long on a CPU over a dimension that is not the last.
    """
    planes = [(a.unbind(1), b.unbind(1)) for a, b in pairs]

    def component(i: int, j: int) -> Tensor:
        terms = [torch.addcmul(a[i] * b[j], a[j], b[i], value=-1) for a, b in planes]
        return functools.reduce(torch.add, terms)

    return component(1, 2), component(2, 0), component(0, 1)


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rotation matrices [B, 3, 3] of axis-angle vectors [B, 3] (radians); differentiable everywhere, 0 included.

    Rodrigues' formula I + a W + b W^2, W the cross-product matrix of the vector, a = sin(t) / t,
    b = (1 - cos(t)) / t^2, t its length.
    """
    squared = (axis_angle * axis_angle).sum(-1).view(-1, 1, 1)  # t^2, [B, 1, 1]
    is_small = squared < 1e-6
    # The branch not taken needs a harmless value too: `where` would turn its infinite gradient into NaN.
    angle = torch.where(is_small, 1.0, squared).sqrt()
    half = torch.sin(angle / 2) / (angle / 2)
    a = torch.where(is_small, 1 - squared / 6 + squared**2 / 120, torch.sin(angle) / angle)
    b = torch.where(is_small, 0.5 - squared / 24 + squared**2 / 720, 0.5 * half * half)

    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)  # W
    # W^2 = w w^T - t^2 I
    outer = axis_angle.unsqueeze(2) * axis_angle.unsqueeze(1)  # [B, 3, 3]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a * cross + b * (outer - squared * identity)


def rigid_transform(axis_angle: Tensor, translation: Tensor, invert: bool) -> Tensor:
    """Matrices [B, 4, 4] that rotate by [B, 3] radians, then translate by [B, 3] metres; or their inverses."""
    rotation = axis_angle_to_matrix(axis_angle)
    shift = translation.unsqueeze(2)  # [B, 3, 1]
    if invert:
        rotation = rotation.transpose(1, 2)
        shift = -_product(rotation, shift)
    matrix = F.pad(torch.cat([rotation, shift], dim=2), (0, 0, 0, 1))  # [B, 4, 4] with a bottom row of zeros
    matrix[:, 3, 3] = 1
    return matrix


def project(depth: Tensor, intrinsics: Tensor, transform: Tensor) -> tuple[Tensor, Tensor]:
    """Project the pixels of this view (the target) into another view (the source).

    Args:
        depth: [B, 1, H, W] metres, of the target.
        intrinsics: [B, 3, 3], of both views.
        transform: [B, 4, 4], from points of the target camera to points of the source camera.

    Returns:
        (u, v), each [B, 1, H, W] pixel coordinates in the source; far outside the image for points behind its camera.
    """
    u, v = _pixel_grid(depth)
    # K T (depth K^-1 (u, v, 1)) = depth (K R K^-1)(u, v, 1) + K t, so that no cloud of points is stored.
    homography = _product(_product(intrinsics, transform[:, :3, :3]), _inverse_intrinsics(intrinsics))  # [B, 3, 3]
    offset = _product(intrinsics, transform[:, :3, 3:])  # [B, 3, 1]

    def row(i: int) -> Tensor:
        """Row i of the homogeneous pixel, [B, 1, H, W]."""
        a, b, c = (homography[:, i, j].view(-1, 1, 1, 1) for j in range(3))
        return (a * u + (b * v + c)) * depth + offset[:, i].view(-1, 1, 1, 1)

    z = row(2).clamp(min=NEAREST_Z)
    return row(0) / z, row(1) / z


def warp(image: Tensor, depth: Tensor, intrinsics: Tensor, transform: Tensor) -> Tensor:
    """The target view [B, C, H, W] in the colours of `image`, the source view [B, C, H, W]; the rest as in `project`.

    Bilinear, with the borders repeated outward; differentiable by image, depth and transform.
    """
    height, width = image.shape[-2:]
    u, v = project(depth, intrinsics, transform)
    # With align_corners=True -1 and 1 are the centres of the first and the last pixel.
    grid = torch.cat([u * (2 / max(width - 1, 1)) - 1, v * (2 / max(height - 1, 1)) - 1], dim=1)
    grid = grid.permute(0, 2, 3, 1)  # [B, H, W, 2]
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _pixel_grid(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Columns u [1, 1, 1, W] and rows v [1, 1, H, 1] of a map's pixels."""
    v, u = (torch.arange(length, dtype=depth.dtype, device=depth.device) for length in depth.shape[-2:])
    return u.view(1, 1, 1, -1), v.view(1, 1, -1, 1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product [B, I, J] x [B, J, K] -> [B, I, K] of small matrices, in their own precision always."""
    return (left.unsqueeze(3) * right.unsqueeze(1)).sum(2)  # [B, I, J, 1] * [B, 1, J, K]


def _inverse_intrinsics(intrinsics: Tensor) -> Tensor:
    """K^-1, [B, 3, 3], in closed form (`linalg.inv` waits for the GPU to see whether K is singular)."""
    fx, fy, u0, v0 = _camera(intrinsics)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [1 / fx, zero, -u0 / fx, zero, 1 / fy, -v0 / fy, zero, zero, one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def _camera(intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """fx, fy, u0, v0 of [B, 3, 3] intrinsics, each [B]."""
    return intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2]
