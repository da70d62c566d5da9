"""The demo world proves geometry: normals from true depth, and frames from their neighbours by true depth and pose."""

from collections import namedtuple

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, map_coordinates

FAR = 1e4  # metres: stands for the sky's infinite depth


Shot = namedtuple("Shot", "rgb depth normals pose intrinsics")


@pytest.fixture(scope="module")
def triplets(demo_truth_cityscapes) -> list[list[Shot]]:
    """Previous, annotated and next frame of every scene."""
    shots = []
    for image in sorted(demo_truth_cityscapes.glob("leftImg8bit_sequence/*/*/*")):
        stem = image.name.removesuffix("_leftImg8bit.png")
        maps = [np.load(demo_truth_cityscapes / "truth" / kind / f"{stem}.npy") for kind in Shot._fields[1:]]
        shots.append(Shot(cv2.imread(str(image))[..., ::-1] / 255, *maps))
    return [shots[:3], shots[3:6], shots[6:]]


def points(shot: Shot, scale: float = 1.0) -> np.ndarray:
    """Camera points [H,W,3] of every pixel, with depth times `scale`."""
    u, v = np.meshgrid(*map(np.arange, shot.depth.T.shape))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(shot.intrinsics).T
    return rays * np.minimum(scale * shot.depth, FAR)[..., None]


def warp(source: Shot, target: Shot, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """How `source`, as seen from `target`'s camera, differs from it [H,W], and where it is the same surface."""
    to_source = np.linalg.inv(source.pose) @ target.pose
    moved = points(target, scale) @ to_source[:3, :3].T + to_source[:3, 3]
    u, v, z = np.moveaxis(moved @ source.intrinsics.T, -1, 0)
    height, width = target.depth.shape
    at = [np.clip(v / z, 0, height - 1), np.clip(u / z, 0, width - 1)]
    warped = np.stack([map_coordinates(source.rgb[..., c], at, order=1) for c in range(3)], axis=-1)
    there = map_coordinates(np.minimum(source.depth, FAR), at, order=1)
    visible = (at[0] == v / z) & (at[1] == u / z) & (np.abs(there - z) < 0.03 * z)
    return np.abs(warped - target.rgb).mean(axis=-1), visible


def test_normals_from_true_depth(triplets):
    for _, shot, _ in triplets:
        surface = points(shot)
        # The neighbours' difference vectors, right x down points towards the camera in image axes (y down).
        right, down = surface[1:-1, 2:] - surface[1:-1, :-2], surface[2:, 1:-1] - surface[:-2, 1:-1]
        normals = np.cross(down, right) * [1, 1, -1]
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        normals *= np.where(normals[..., 2:] < 0, -1, 1)
        # On a plane inverse depth is linear in the pixel position: its second differences show edges and creases.
        depth = np.minimum(shot.depth, FAR)
        bends = sum(np.abs(cv2.Sobel(1 / depth, cv2.CV_64F, dx, dy)) for dx, dy in ((2, 0), (1, 1), (0, 2)))
        off_edges = ~binary_dilation(bends * depth > 0.03, np.ones((3, 3))) & np.isfinite(shot.depth)
        cosine = (normals * shot.normals[1:-1, 1:-1]).sum(axis=-1)[off_edges[1:-1, 1:-1]]
        assert off_edges.mean() > 0.4
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 1.5


@pytest.mark.parametrize("neighbour", [0, 2])
def test_a_neighbour_warped_by_true_depth_and_pose_alone_is_the_frame(triplets, neighbour):
    for triplet in triplets:
        source, target = triplet[neighbour], triplet[1]
        error, visible = warp(source, target)
        still, _ = warp(source._replace(pose=target.pose), target)
        far, _ = warp(source, target, scale=1.5)
        assert visible.mean() > 0.6
        assert error[visible].mean() < min(still[visible].mean() / 5, far[visible].mean() / 3)


def test_poses_are_rigid_and_drive_forward(triplets):
    for before, _, after in triplets:
        rotation = after.pose[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        x, y, z = (np.linalg.inv(before.pose) @ after.pose)[:3, 3]
        assert np.linalg.det(rotation) > 0 and z > 1 and abs(x) < 0.5 and abs(y) < 0.3
