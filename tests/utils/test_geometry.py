"""Units, cameras, normals and warping against closed forms, scipy and kornia."""

import kornia.geometry as kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation

from tests.helpers.forbid_sync import ForbidSync
from utils.constants import IGNORE_INDEX, MAX_DEPTH, MIN_DEPTH
from utils.geometry import (
    axis_angle_to_matrix,
    disparity_to_depth,
    inverse_to_metres,
    metres_to_inverse,
    normals_from_depth,
    resize,
    rigid_transform,
    unproject,
    warp,
)

HEIGHT, WIDTH = 24, 32


def camera(fx: float = 40.0, fy: float = 44.0, u0: float = 15.2, v0: float = 11.7, dtype=torch.float32) -> torch.Tensor:
    return torch.tensor([[[fx, 0.0, u0], [0.0, fy, v0], [0.0, 0.0, 1.0]]], dtype=dtype)


def rays(intrinsics: torch.Tensor, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """K^-1 (u, v, 1) by numpy, [3, H, W]: an oracle that shares no code with `unproject`."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    inverse = np.linalg.inv(intrinsics[0].double().numpy())
    return torch.from_numpy((inverse @ pixels).reshape(3, height, width))


def plane(normal: tuple[float, float, float], distance: float, intrinsics: torch.Tensor) -> torch.Tensor:
    """Depth [1, 1, H, W] of the plane normal . P = distance, in the camera frame (z forward)."""
    along = torch.einsum("c,chw->hw", torch.tensor(normal, dtype=torch.float64), rays(intrinsics))
    return (distance / along).float()[None, None]


def angle(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Degrees between unit vectors over the channels, in double precision."""
    cosine = (first.double() * second.double()).sum(1).clamp(-1, 1)
    return torch.rad2deg(torch.acos(cosine))


class TestUnits:
    def test_constants_are_those_of_the_published_evaluation(self):
        assert (IGNORE_INDEX, MIN_DEPTH, MAX_DEPTH) == (250, 1e-3, 80.0)

    def test_inverse_is_65536_over_centimetres_plus_one_and_back(self):
        centimetres = torch.tensor([0.0, 1.0, 255.0, 65535.0], dtype=torch.float64)
        expected = torch.tensor([65536.0, 32768.0, 256.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(metres_to_inverse(centimetres / 100), expected, rtol=1e-12, atol=0)
        metres = np.geomspace(1e-3, 655.35, 1000)
        np.testing.assert_allclose(inverse_to_metres(metres_to_inverse(metres)), metres, rtol=1e-12)
        single = torch.from_numpy(metres).float()
        torch.testing.assert_close(inverse_to_metres(metres_to_inverse(single)), single, rtol=1e-6, atol=3e-8)

    def test_disparity_ends_at_the_depth_limits_and_is_linear_in_inverse_depth(self):
        depth = disparity_to_depth(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), 0.1, 100.0)
        expected = torch.tensor([100.0, 1 / 5.005, 0.1], dtype=torch.float64)
        torch.testing.assert_close(depth, expected, rtol=1e-12, atol=0)

    def test_resize_puts_corners_on_corners_and_copies_nothing_of_the_same_size(self):
        maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        expected = torch.tensor([[[[0.0, 0.5, 1.0], [1.0, 1.5, 2.0], [2.0, 2.5, 3.0]]]])
        torch.testing.assert_close(resize(maps, (3, 3)), expected)
        assert resize(maps, (2, 2)) is maps

    def test_unproject_equals_the_inverse_matrix(self):
        intrinsics = torch.cat([camera(), camera(30.0, 31.0, 10.0, 9.0)])
        depth = torch.rand(2, 1, HEIGHT, WIDTH) * 50 + 1
        points = unproject(depth, intrinsics)
        for i in range(2):
            expected = rays(intrinsics[i : i + 1]) * depth[i].double()
            torch.testing.assert_close(points[i].double(), expected, rtol=1e-5, atol=1e-5)


class TestNormalsFromDepth:
    @pytest.mark.parametrize(
        ("away", "principal"),
        [
            ((0.0, 0.0, 1.0), {}),  # a wall seen face on
            ((0.0, 1.0, 0.0), {"v0": -3.0}),  # the floor, all pixels below the horizon
            ((1.0, 0.0, 0.0), {"u0": -5.0}),  # a wall to the right of all pixels
            ((0.3, 0.2, 1.0), {}),
            ((-0.6, 0.5, 0.9), {}),
            ((0.1, 0.9, 0.4), {}),
            ((-0.2, -0.7, 0.6), {}),
        ],
    )
    def test_planes(self, away, principal):
        """`away` is the plane's normal in the camera frame, pointing away from the camera: n . P = distance > 0."""
        intrinsics = camera(60.0, 62.0, **principal)
        depth = plane(away, 5.0, intrinsics)
        normals, valid = normals_from_depth(depth, depth > 0, intrinsics)
        towards = -F.normalize(torch.tensor(away), dim=0)  # camera frame, z forward
        expected = torch.stack([towards[0], towards[1], -towards[2]])  # z towards the camera
        assert valid.any()
        assert angle(normals, expected.view(1, 3, 1, 1).expand_as(normals))[valid[:, 0]].max() < 0.2

    def test_road_of_a_camera_that_looks_up_stays_a_road(self):
        """Seen at a grazing angle z comes out below zero; turning the whole vector round would make it a ceiling."""
        intrinsics = camera(v0=-8.0)
        depth = plane((0.0, 1.0, -0.05), 1.5, intrinsics)
        normals, valid = normals_from_depth(depth, depth > 0, intrinsics)
        assert valid.any()
        assert (normals[:, 1:2][valid] < -0.99).all() and (normals[:, 2:][valid] >= 0).all()

    def test_flip_negates_x(self):
        depth = plane((0.3, 0.2, 1.0), 5.0, camera())
        mask = torch.rand(1, 1, HEIGHT, WIDTH) > 0.02
        normals, valid = normals_from_depth(depth, mask, camera())
        flipped, valid_flipped = normals_from_depth(depth.flip(3), mask.flip(3), camera(u0=WIDTH - 1 - 15.2))
        expected = normals.flip(3) * torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
        assert torch.equal(valid_flipped, valid.flip(3))
        torch.testing.assert_close(flipped, expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("garbage", [0.0, float("nan"), float("inf"), -1e30])
    def test_a_hole_invalidates_its_neighbours_only_and_gradients_stay_finite(self, garbage):
        mask = torch.ones(1, 1, 9, 9, dtype=torch.bool)
        mask[..., 4, 4] = False
        depth = torch.where(mask, torch.rand(1, 1, 9, 9) + 3, garbage).requires_grad_()
        normals, valid = normals_from_depth(depth, mask, camera())
        expected = torch.zeros(9, 9, dtype=torch.bool)
        expected[1:-1, 1:-1] = True
        expected[3:6, 3:6] = False
        assert torch.equal(valid[0, 0], expected)
        assert torch.isfinite(normals).all() and (normals[~valid.expand_as(normals)] == 0).all()
        torch.testing.assert_close(normals.norm(dim=1)[valid[:, 0]], torch.ones(int(expected.sum())))
        normals.sum().backward()
        assert torch.isfinite(depth.grad).all() and depth.grad.any()

    def test_nothing_measured_gives_zeros_and_zero_gradients(self):
        depth = torch.rand(1, 1, 6, 6, requires_grad=True)
        normals, valid = normals_from_depth(depth, torch.zeros(1, 1, 6, 6, dtype=torch.bool), camera())
        normals.sum().backward()
        assert not valid.any() and not normals.any() and not depth.grad.any()

    @pytest.mark.parametrize("metres", [1e-3, 600.0])
    def test_unit_length_at_any_distance(self, metres):
        depth = torch.full((1, 1, 5, 5), metres)
        normals, _ = normals_from_depth(depth, depth > 0, camera(2262.0, 2265.0, 2.0, 2.0))
        torch.testing.assert_close(normals[0, :, 2, 2], torch.tensor([0.0, 0.0, 1.0]), rtol=0, atol=1e-4)

    def test_gradcheck(self):
        depth = (torch.rand(1, 1, 4, 4, dtype=torch.float64) + 3).requires_grad_()
        mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
        intrinsics = camera(dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda d: normals_from_depth(d, mask, intrinsics)[0], depth)

    def test_needs_three_rows(self):
        depth = torch.ones(1, 1, 2, 8)
        with pytest.raises(ValueError, match="at least 3x3 pixels, got 2x8"):
            normals_from_depth(depth, depth > 0, camera())


class TestRotation:
    def test_equals_scipy(self):
        vectors = torch.cat([torch.randn(50, 3, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64) * 1e-3])
        vectors = torch.cat([vectors, torch.tensor([[0.0, 0.0, np.pi], [0.0, 0.0, 0.0], [1e-12, 0.0, 0.0]])])
        expected = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
        torch.testing.assert_close(axis_angle_to_matrix(vectors), expected, rtol=0, atol=1e-12)

    def test_float32_is_a_rotation_also_for_the_small_angles_of_a_pose_network(self):
        vectors = torch.randn(64, 3) * torch.logspace(-6, 0, 64).unsqueeze(1)
        matrix = axis_angle_to_matrix(vectors)
        expected = torch.from_numpy(Rotation.from_rotvec(vectors.double().numpy()).as_matrix()).float()
        torch.testing.assert_close(matrix, expected, rtol=0, atol=5e-7)

    @pytest.mark.parametrize("size", [0.0, 1e-30, 9.9e-4, 1.01e-3, 0.7, 3.1])
    def test_gradcheck(self, size):
        vector = (F.normalize(torch.randn(2, 3, dtype=torch.float64), dim=1) * size).requires_grad_()
        assert torch.autograd.gradcheck(axis_angle_to_matrix, vector)

    def test_transform_rotates_then_translates_and_its_inverse_undoes_it(self):
        vector, shift, point = torch.randn(3, 5, 3, dtype=torch.float64)
        transform = rigid_transform(vector, shift, invert=False)
        moved = (transform @ F.pad(point, (0, 1), value=1.0).unsqueeze(2))[:, :3, 0]
        rotated = torch.from_numpy(Rotation.from_rotvec(vector.numpy()).apply(point.numpy()))
        torch.testing.assert_close(moved, rotated + shift)
        torch.testing.assert_close(rigid_transform(vector, shift, invert=True), torch.linalg.inv(transform))


class TestWarp:
    def test_standing_camera_changes_nothing(self):
        image = torch.rand(2, 3, HEIGHT, WIDTH)
        depth = torch.rand(2, 1, HEIGHT, WIDTH) * 50 + 1
        warped = warp(image, depth, camera().expand(2, 3, 3), torch.eye(4).expand(2, 4, 4))
        torch.testing.assert_close(warped, image, rtol=0, atol=1e-4)

    def test_sideways_step_shifts_by_the_disparity_and_repeats_the_border(self):
        image = torch.rand(1, 3, HEIGHT, WIDTH)
        depth = torch.full((1, 1, HEIGHT, WIDTH), 10.0)
        # Points 3 px * 10 m / 40 px = 0.75 m further right in the source: target column u shows source column u + 3.
        transform = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.75, 0.0, 0.0]]), invert=False)
        warped = warp(image, depth, camera(), transform)
        torch.testing.assert_close(warped[..., :-3], image[..., 3:], rtol=0, atol=1e-4)
        torch.testing.assert_close(warped[..., -3:], image[..., -1:].expand(1, 3, HEIGHT, 3), rtol=0, atol=1e-4)

    def test_equals_kornia_inside_the_image(self):
        image = F.interpolate(torch.rand(2, 3, 6, 8), (HEIGHT, WIDTH), mode="bilinear")
        depth = F.interpolate(torch.rand(2, 1, 4, 4), (HEIGHT, WIDTH), mode="bilinear") * 5 + 5
        intrinsics = torch.cat([camera(), camera(30.0, 31.0, 10.0, 9.0)])
        vector = torch.tensor([[0.01, -0.02, 0.015], [-0.02, 0.01, 0.02]])
        shift = torch.tensor([[0.1, -0.05, 0.2], [-0.1, 0.05, -0.2]])
        transform = rigid_transform(vector, shift, invert=False)
        expected = kornia.warp_frame_depth(image, depth, transform, intrinsics)
        warped = warp(image, depth, intrinsics, transform)
        inner = (..., slice(4, -4), slice(4, -4))  # kornia fills from outside with zeros
        torch.testing.assert_close(warped[inner], expected[inner], rtol=0, atol=2e-4)

    def test_points_behind_the_camera_stay_finite(self):
        image = torch.rand(1, 3, HEIGHT, WIDTH, requires_grad=True)
        depth = torch.full((1, 1, HEIGHT, WIDTH), 2.0, requires_grad=True)
        shift = torch.tensor([[0.1, 0.0, -2.0]], requires_grad=True)  # z is 0, then below
        for z in (0.0, -5.0):
            transform = rigid_transform(torch.zeros(1, 3), shift + torch.tensor([[0.0, 0.0, z]]), invert=False)
            warp(image, depth, camera(), transform).sum().backward()
        for leaf in (image, depth, shift):
            assert torch.isfinite(leaf.grad).all()

    def test_gradcheck(self):
        image = torch.rand(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
        depth = (torch.rand(1, 1, 6, 7, dtype=torch.float64) + 4).requires_grad_()
        pose = torch.tensor([[0.02, -0.03, 0.01, 0.11, 0.07, 0.05]], dtype=torch.float64, requires_grad=True)
        intrinsics = camera(9.0, 9.0, 3.1, 2.6, dtype=torch.float64)

        def warped(image: torch.Tensor, depth: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
            return warp(image, depth, intrinsics, rigid_transform(pose[:, :3], pose[:, 3:], invert=True))

        assert torch.autograd.gradcheck(warped, (image, depth, pose))

    def test_keeps_its_precision_under_autocast(self):
        image, depth = torch.rand(1, 3, HEIGHT, WIDTH), torch.rand(1, 1, HEIGHT, WIDTH) * 20 + 2
        vector, shift = torch.randn(1, 3) * 0.1, torch.randn(1, 3)
        expected = warp(image, depth, camera(), rigid_transform(vector, shift, invert=True))
        with torch.autocast("cpu", torch.bfloat16):
            warped = warp(image, depth, camera(), rigid_transform(vector, shift, invert=True))
        assert torch.equal(warped, expected)

    def test_nothing_waits_for_the_device(self):
        image, depth = torch.rand(1, 3, HEIGHT, WIDTH), torch.rand(1, 1, HEIGHT, WIDTH) + 2
        with ForbidSync():
            warp(image, depth, camera(), rigid_transform(torch.randn(1, 3), torch.randn(1, 3), invert=True))
            normals_from_depth(depth, depth > 2.01, camera())
