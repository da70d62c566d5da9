"""The photometric loss on a wall seen by a camera that slides sideways, where every number is known.

At depth 5 with a focal length of 10, a step of 1 to the right moves the picture by 2 pixels.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from loss.build import build_photometric
from loss.photometric import PhotometricLoss
from tests.helpers.forbid_sync import ForbidSync
from utils.config.schema.loss import Photometric
from utils.geometry import warp
from vendor.monodepth2.photometric import edge_aware_smoothness, reprojection_error

HEIGHT, WIDTH, FOCAL, DEPTH = 16, 32, 10.0, 5.0
SCALES = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}


def slid(step: float) -> Tensor:
    """Transform [1, 4, 4] of points into a camera that stands `step` to the right."""
    transform = torch.eye(4)[None].clone()
    transform[:, 0, 3] = -step
    return transform


def make_batch(step: float = 1.0) -> dict[str, Tensor]:
    """A smooth random texture on the wall, seen from the middle, `step` to the left (-1) and to the right (1)."""
    shift = round(FOCAL * step / DEPTH)
    wall = torch.rand(1, 3, HEIGHT, WIDTH + 2 * abs(shift))
    batch = {
        f"frame_{offset}": wall[..., abs(shift) + offset * shift :][..., :WIDTH].contiguous() for offset in (-1, 0, 1)
    }
    for scale in (1, 2, 3):
        batch[f"frame_0_s{scale}"] = torch.nn.functional.avg_pool2d(batch["frame_0"], 2**scale)
    batch["intrinsics"] = torch.tensor([[[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]])
    return batch


def disparity_of(metres: float, loss: PhotometricLoss, scale: int = 0) -> Tensor:
    """Constant disparity [1, 1, h, w] that stands for a depth."""
    near, far = 1 / loss.min_depth, 1 / loss.max_depth
    return torch.full((1, 1, HEIGHT >> scale, WIDTH >> scale), (1 / metres - far) / (near - far))


def disparities_of(metres: float, loss: PhotometricLoss) -> dict[int, Tensor]:
    return {scale: disparity_of(metres, loss, scale) for scale in loss.weights}


TRUE_POSES = {-1: slid(-1.0), 1: slid(1.0)}
NO_POSES = {-1: slid(0.0), 1: slid(0.0)}


def definition(
    loss: PhotometricLoss, disparities: dict[int, Tensor], batch: dict[str, Tensor], poses: dict[int, Tensor]
) -> dict[int, Tensor]:
    """The loss as the paper reads: no frame is warped twice, everything is kept for the gradient."""
    target = batch["frame_0"]

    def error(frames: list[Tensor]) -> Tensor:
        errors = torch.cat([reprojection_error(frame, target, use_ssim=loss.use_ssim) for frame in frames], dim=1)
        return errors.mean(1, keepdim=True) if loss.average else errors.amin(1, keepdim=True)

    unmoved = error([batch[f"frame_{offset}"] for offset in loss.offsets])
    unmoved = unmoved + 1e-5 * torch.randn_like(unmoved)  # once, for all scales
    losses = {}
    for scale, disparity in disparities.items():
        full = torch.nn.functional.interpolate(disparity, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        near, far = 1 / loss.min_depth, 1 / loss.max_depth
        depth = 1 / (far + (near - far) * full)
        moved = error([warp(batch[f"frame_{o}"], depth, batch["intrinsics"], poses[o]) for o in loss.offsets])
        image = batch[f"frame_0_s{scale}"] if scale else target
        losses[scale] = (torch.minimum(moved, unmoved) if loss.automask else moved).mean()
        losses[scale] = losses[scale] + loss.smoothness / 2**scale * edge_aware_smoothness(disparity, image)
    return losses


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_ssim": False},
        {"automask": False},
        {"average": True},
        {"average": True, "automask": False},
        {"offsets": (1,), "smoothness": 0.0},
        {"smoothness": 0.5},
        {"min_depth": 1.0, "max_depth": 20.0},
    ],
    ids=str,
)
def test_equals_its_definition_with_all_gradients(options: dict):
    loss = PhotometricLoss(weights=SCALES, **options)
    batch = make_batch()
    disparities = {
        scale: value * (1 + 0.2 * torch.rand_like(value)) for scale, value in disparities_of(4, loss).items()
    }
    leaves = [value.requires_grad_() for value in disparities.values()]
    poses = {offset: TRUE_POSES[offset].clone().requires_grad_() for offset in loss.offsets}

    results = []
    for compute in (loss, lambda *arguments: definition(loss, *arguments)):
        torch.manual_seed(3)
        by_scale = compute(disparities, batch, poses)
        results.append((by_scale, torch.autograd.grad(sum(by_scale.values()), [*leaves, *poses.values()])))

    (mine, gradients), (expected, others) = results
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-7)
    for gradient, other in zip(gradients, others, strict=True):
        assert gradient.abs().max() > 0
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5 * other.abs().max().item())


def test_true_depth_explains_the_slide_at_every_scale_and_wrong_depth_does_not():
    loss = PhotometricLoss(weights=SCALES, automask=False)
    batch = make_batch()

    true = loss(disparities_of(DEPTH, loss), batch, TRUE_POSES)
    wrong = loss(disparities_of(1.5 * DEPTH, loss), batch, TRUE_POSES)
    unmoved = loss(disparities_of(DEPTH, loss), batch, NO_POSES)

    assert list(true) == list(SCALES)
    for scale in SCALES:
        assert true[scale] < 1e-4 and true[scale] < min(wrong[scale], unmoved[scale]) / 10


def test_minimum_over_frames_takes_each_border_from_the_frame_that_sees_it():
    """The right frame does not see the target's left border, nor the left frame the right one; together both."""
    batch = make_batch()
    minimum = PhotometricLoss(weights={0: 1.0}, automask=False)
    average = PhotometricLoss(weights={0: 1.0}, automask=False, average=True)
    disparities = disparities_of(DEPTH, minimum)

    seen = minimum.diagnose(disparities, batch, TRUE_POSES).error
    blurred = average.diagnose(disparities, batch, TRUE_POSES).error

    assert seen.max() < 1e-4
    assert blurred[..., 0].mean() > 0.05 and blurred[..., -1].mean() > 0.05


@pytest.mark.parametrize("average", [False, True])
def test_automask_prefers_standing_frames(average: bool):
    """Nothing moves, the pose says otherwise: automasked, the wrong warps cost (almost) nothing."""
    batch = make_batch(step=0.0)
    masked = PhotometricLoss(weights={0: 1.0}, average=average)
    plain = PhotometricLoss(weights={0: 1.0}, automask=False, average=average)
    disparities = disparities_of(DEPTH, masked)

    assert masked(disparities, batch, TRUE_POSES)[0].abs() < 1e-5 < 0.05 < plain(disparities, batch, TRUE_POSES)[0]
    assert not masked.diagnose(disparities, batch, TRUE_POSES).automask.any()


def autocast() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("mode", [autocast, ForbidSync, torch.no_grad, torch.inference_mode])
def test_is_the_same_in_validation_under_autocast_and_without_waiting(mode: Callable[[], AbstractContextManager]):
    batch = make_batch()
    loss = PhotometricLoss(weights=SCALES)
    disparities = {scale: value.bfloat16().requires_grad_() for scale, value in disparities_of(4.0, loss).items()}
    torch.manual_seed(1)
    expected = loss(disparities, batch, TRUE_POSES)

    torch.manual_seed(1)
    with mode():
        by_scale = loss(disparities, batch, TRUE_POSES)
        if torch.is_grad_enabled():
            loss.combine(by_scale).backward()

    for scale, value in by_scale.items():
        assert value.dtype == torch.float32 and torch.equal(value, expected[scale])


def test_little_is_kept_for_the_gradient():
    """Less than three images per scale beyond the input; without warping again it would be over thirty."""
    batch = make_batch()
    loss = PhotometricLoss(weights=SCALES)
    disparities = {scale: value.requires_grad_() for scale, value in disparities_of(4.0, loss).items()}
    kept = {image.untyped_storage().data_ptr(): 0 for image in batch.values()}

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        by_scale = loss(disparities, batch, TRUE_POSES)

    total = loss.combine(by_scale)
    assert 0 < sum(kept.values()) < 3 * batch["frame_0"].nbytes * len(SCALES)
    total.backward()
    assert all(value.grad.abs().max() > 0 for value in disparities.values())


def test_diagnose_shows_the_finest_scale_without_touching_random_state_or_graph():
    batch = make_batch()
    loss = PhotometricLoss(weights={2: 1.0, 1: 1.0})
    disparities = {scale: value.requires_grad_() for scale, value in disparities_of(DEPTH, loss).items()}
    before = torch.get_rng_state()

    view = loss.diagnose(disparities, batch, TRUE_POSES)

    assert torch.equal(torch.get_rng_state(), before)
    assert not view.depth.requires_grad and not view.warped[1].requires_grad
    torch.testing.assert_close(view.depth, torch.full((1, 1, HEIGHT, WIDTH), DEPTH))
    inner = view.warped[1][..., 2:]  # the right frame does not show the two columns on the left
    torch.testing.assert_close(inner, batch["frame_0"][..., 2:], atol=1e-4, rtol=0)
    everything = PhotometricLoss(weights={1: 1.0}, automask=False).diagnose(disparities, batch, TRUE_POSES).automask
    assert everything.all()


def test_combine_is_the_mean_of_weighted_scales():
    loss = PhotometricLoss(weights={0: 1.0, 2: 3.0})

    total = loss.combine({0: torch.tensor(2.0), 2: torch.tensor(5.0)})

    assert total.item() == pytest.approx((2 + 15) / 2)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, {}),  # the paper's, and the frames of the data
        (
            {"min_depth": 0.5, "max_depth": 60.0, "disparity_smoothness": 0.01, "no_ssim": True},
            {"min_depth": 0.5, "max_depth": 60.0, "smoothness": 0.01, "use_ssim": False},
        ),
        (
            {"avg_reprojection": True, "disable_automasking": True, "frame_ids": [0, -2, 2], "batch_size": 4},
            {"average": True, "automask": False, "offsets": (-2, 2)},
        ),
    ],
)
def test_build_passes_on_what_the_config_says(kwargs: dict, expected: dict):
    section = Photometric(loss="ssde", kwargs={"scales": [0, 2], "weight": [1.0, 0.5], **kwargs})
    loss = build_photometric(section, frame_ids=[0, -2, 2, 1])
    defaults = {"min_depth": 0.1, "max_depth": 100.0, "smoothness": 1e-3, "use_ssim": True, "average": False}
    defaults |= {"automask": True, "offsets": (-2, 2, 1), "weights": {0: 1.0, 2: 0.5}}
    assert {name: getattr(loss, name) for name in defaults} == defaults | expected
