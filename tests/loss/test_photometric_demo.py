"""True depth and pose of the demo world explain its frames, also through the resize, crop and flip of a sample."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dataset.demo.formats import make_scene
from dataset.files import Camera
from dataset.resize import resize_nearest, resize_rgb
from dataset.transform import SampleTransform, rgb_to_planes
from loss.photometric import PhotometricLoss

# A quarter of Cityscapes' camera, rendered at twice the size that the samples are cut from.
CAMERA = Camera(fx=565.63, fy=566.32, u0=274.2, v0=128.3, width=512, height=256)
WIDTH, HEIGHT = 512, 256
RENDERED = (2 * WIDTH, 2 * HEIGHT)
FAR = 1e4  # metres, for the sky

LOSS = PhotometricLoss(weights={0: 1.0}, max_depth=2 * FAR, smoothness=0.0, automask=False)


@dataclass(frozen=True)
class Triplet:
    """Rendered frames by offset, depth [H, W] of frame 0, and by offset frame 0's camera to that frame's [4, 4]."""

    frames: dict[int, np.ndarray]
    depth: np.ndarray
    poses: dict[int, np.ndarray]


@pytest.fixture(scope="module")
def triplet() -> Triplet:
    scene = make_scene(2, outdoor=True)
    intrinsics = CAMERA.matrix(width=RENDERED[0], height=RENDERED[1])
    rendered = {offset: scene.render(scene.path(offset), intrinsics, RENDERED) for offset in (-1, 0, 1)}
    return Triplet(
        frames={offset: frame.rgb for offset, frame in rendered.items()},
        depth=np.minimum(rendered[0].depth, FAR).astype(np.float32),
        poses={offset: np.linalg.inv(scene.path(offset)) @ scene.path(0) for offset in (-1, 1)},
    )


def cut(triplet: Triplet, transform: SampleTransform) -> tuple[dict[str, Tensor], Tensor, dict[int, Tensor]]:
    """Batch of one sample, its depth [1, 1, h, w] and true transforms, resized, cropped and flipped as a sample is."""
    batch = {
        f"frame_{offset}": torch.from_numpy(
            rgb_to_planes(transform.rgb(resize_rgb(Image.fromarray(rgb), width=WIDTH, height=HEIGHT)))
        ).unsqueeze(0)
        for offset, rgb in triplet.frames.items()
    }
    batch["intrinsics"] = torch.from_numpy(transform.intrinsics(CAMERA.matrix(width=WIDTH, height=HEIGHT))).unsqueeze(0)
    depth = torch.from_numpy(transform.map(resize_nearest(triplet.depth, width=WIDTH, height=HEIGHT)).copy())
    # In a mirror the camera moves the other way round.
    mirror = np.diag([-1.0 if transform.flip else 1.0, 1.0, 1.0, 1.0])
    transforms = {
        offset: torch.from_numpy(mirror @ pose @ mirror).float().unsqueeze(0) for offset, pose in triplet.poses.items()
    }
    return batch, depth.view(1, 1, *depth.shape), transforms


def error(batch: dict[str, Tensor], depth: Tensor, transforms: dict[int, Tensor]) -> float:
    """Photometric error of a depth map, given to the loss as the disparity that stands for it."""
    near, far = 1 / LOSS.min_depth, 1 / LOSS.max_depth
    return LOSS({0: (1 / depth - far) / (near - far)}, batch, transforms)[0].item()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("left", "top", "width", "height"), [(0, 0, 512, 256), (40, 0, 256, 256), (230, 30, 192, 192)])
def test_true_geometry_explains_the_frames(triplet: Triplet, left: int, top: int, width: int, height: int, flip: bool):
    batch, depth, transforms = cut(triplet, SampleTransform(left, top, width, height, flip))
    still = {offset: torch.eye(4).unsqueeze(0) for offset in transforms}

    true = error(batch, depth, transforms)

    assert true < 0.02
    assert true <= error(batch, 1.5 * depth, transforms) / 3
    assert true <= error(batch, depth, still) / 3


def test_flip_changes_nothing_but_the_side(triplet: Triplet):
    plain = error(*cut(triplet, SampleTransform(40, 0, 256, 256)))
    flipped = error(*cut(triplet, SampleTransform(40, 0, 256, 256, True)))

    assert flipped == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("mistake", ["not scaled", "not cropped", "not flipped"])
def test_forgotten_change_of_intrinsics_would_show(triplet: Triplet, mistake: str):
    transform = SampleTransform(40, 0, 256, 256, True)
    batch, depth, transforms = cut(triplet, transform)
    true = error(batch, depth, transforms)
    wrong = {
        "not scaled": transform.intrinsics(CAMERA.matrix(width=RENDERED[0], height=RENDERED[1])),
        "not cropped": SampleTransform(0, 0, 256, 256, True).intrinsics(CAMERA.matrix(width=WIDTH, height=HEIGHT)),
        "not flipped": SampleTransform(40, 0, 256, 256).intrinsics(CAMERA.matrix(width=WIDTH, height=HEIGHT)),
    }
    batch["intrinsics"] = torch.from_numpy(wrong[mistake]).unsqueeze(0)

    assert error(batch, depth, transforms) > 1.5 * true


def test_diagnosis_tells_what_moves_in_the_image(triplet: Triplet):
    """True geometry explains nearly all of a street better than the unmoved frames do; the far sky may tie."""
    batch, depth, transforms = cut(triplet, SampleTransform(0, 0, WIDTH, HEIGHT))
    loss = PhotometricLoss(weights={0: 1.0}, max_depth=2 * FAR)
    near, far = 1 / loss.min_depth, 1 / loss.max_depth

    view = loss.diagnose({0: (1 / depth - far) / (near - far)}, batch, transforms)

    close = depth < 30
    torch.testing.assert_close(view.depth[close], depth[close], rtol=1e-3, atol=0)
    assert view.automask[close].float().mean() > 0.85
