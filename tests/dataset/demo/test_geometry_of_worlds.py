"""The demo world proves geometry: normals from true depth, and frames from their neighbours by true depth and pose."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, map_coordinates

FAR = 1e4  # metres: stands for the sky's infinite depth


@dataclass(frozen=True)
class Shot:
    rgb: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    pose: np.ndarray
    intrinsics: np.ndarray


def load(root: Path, stem: str) -> Shot:
    image = next((root / "leftImg8bit_sequence").glob(f"*/*/{stem}_leftImg8bit.png"))
    rgb = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB) / 255
    truth = [np.load(root / "truth" / kind / f"{stem}.npy") for kind in ("depth", "normals", "pose", "intrinsics")]
    return Shot(rgb, *truth)


@pytest.fixture(scope="module")
def triplets(demo_truth_cityscapes: Path) -> list[tuple[Shot, Shot, Shot]]:
    """Previous, annotated and next frame of every scene."""
    stems = sorted(path.stem.removesuffix("_leftImg8bit") for path in demo_truth_cityscapes.glob("leftImg8bit/*/*/*"))
    assert len(stems) == 3
    offsets = (-1, 0, 1)
    return [
        tuple(load(demo_truth_cityscapes, f"{stem[:-6]}{int(stem[-6:]) + offset:06d}") for offset in offsets)
        for stem in stems
    ]


def points(shot: Shot, scale: float = 1.0) -> np.ndarray:
    """Camera points [H,W,3] of every pixel, with depth times `scale`."""
    height, width = shot.depth.shape
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(shot.intrinsics).T
    return rays * np.minimum(scale * shot.depth, FAR)[..., None]


def warp(source: Shot, target: Shot, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`source` as seen from `target`'s camera; also where that is in view, and where it is the same surface."""
    height, width = target.depth.shape
    to_source = np.linalg.inv(source.pose) @ target.pose
    moved = points(target, scale) @ to_source[:3, :3].T + to_source[:3, 3]
    projected = moved @ source.intrinsics.T
    u, v = projected[..., 0] / projected[..., 2], projected[..., 1] / projected[..., 2]
    at = [np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)]
    channels = [map_coordinates(source.rgb[..., c], at, order=1) for c in range(3)]
    in_view = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    there = map_coordinates(np.minimum(source.depth, FAR), at, order=1)
    visible = in_view & (np.abs(there - moved[..., 2]) < 0.03 * moved[..., 2])
    return np.stack(channels, axis=-1), in_view, visible


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
        off_edges = off_edges[1:-1, 1:-1]
        cosine = (normals * shot.normals[1:-1, 1:-1]).sum(axis=-1)[off_edges]
        assert off_edges.mean() > 0.4
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 1.5


@pytest.mark.parametrize("neighbour", [0, 2])
def test_a_neighbour_warped_by_true_depth_and_pose_is_the_frame(triplets, neighbour):
    for triplet in triplets:
        source, target = triplet[neighbour], triplet[1]
        warped, _, visible = warp(source, target)
        error = np.abs(warped - target.rgb).mean(axis=-1)
        unmoved = np.abs(source.rgb - target.rgb).mean(axis=-1)
        assert visible.mean() > 0.6
        assert 5 * error[visible].mean() < unmoved[visible].mean()


def test_wrong_depth_or_pose_explains_frames_three_times_worse(triplets):
    """The photometric idea: at each pixel the better of both neighbours, true geometry against wrong ones."""
    errors = {"true": [], "far": [], "still": []}
    for before, target, after in triplets:
        for kind, scale in (("true", 1.0), ("far", 1.5)):
            warped = [np.abs(warp(source, target, scale)[0] - target.rgb).mean(axis=-1) for source in (before, after)]
            errors[kind].append(np.minimum(*warped).mean())
        still = [np.abs(source.rgb - target.rgb).mean(axis=-1) for source in (before, after)]
        errors["still"].append(np.minimum(*still).mean())
    assert 3 * np.mean(errors["true"]) < np.mean(errors["far"])
    assert 3 * np.mean(errors["true"]) < np.mean(errors["still"])


def test_neighbouring_frames_move_a_few_pixels(triplets):
    for before, target, _ in triplets:
        to_source = np.linalg.inv(before.pose) @ target.pose
        moved = (points(target) @ to_source[:3, :3].T + to_source[:3, 3]) @ before.intrinsics.T
        here = points(target) @ target.intrinsics.T
        flow = np.linalg.norm(moved[..., :2] / moved[..., 2:] - here[..., :2] / here[..., 2:], axis=-1)
        assert 1 < np.median(flow) < 8  # at 256 pixels width


def test_poses_are_rigid_and_drive_forward(triplets):
    for before, target, after in triplets:
        for shot in (before, target, after):
            rotation = shot.pose[:3, :3]
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(rotation) == pytest.approx(1)
            np.testing.assert_array_equal(shot.pose[3], [0, 0, 0, 1])
        ahead = (np.linalg.inv(before.pose) @ after.pose)[:3, 3]
        assert ahead[2] > 1 and abs(ahead[0]) < 0.5 and abs(ahead[1]) < 0.3
