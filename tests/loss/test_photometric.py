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


def test_standing_camera_costs_nothing():
    loss = PhotometricLoss(weights=SCALES, automask=False)
    batch = make_batch(step=0.0)

    by_scale = loss(disparities_of(3.0, loss), batch, NO_POSES)

    assert list(by_scale) == [0, 1, 2, 3]
    for value in by_scale.values():
        assert value.shape == () and abs(value.item()) < 1e-6


def test_true_depth_explains_the_slide_at_every_scale_and_wrong_depth_does_not():
    loss = PhotometricLoss(weights=SCALES, automask=False)
    batch = make_batch()

    true = loss(disparities_of(DEPTH, loss), batch, TRUE_POSES)
    wrong = loss(disparities_of(1.5 * DEPTH, loss), batch, TRUE_POSES)
    unmoved = loss(disparities_of(DEPTH, loss), batch, NO_POSES)

    for scale in SCALES:
        assert true[scale] < wrong[scale] / 10 and true[scale] < unmoved[scale] / 10


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
    assert average(disparities, batch, TRUE_POSES)[0].item() == pytest.approx(blurred.mean().item(), rel=1e-5)


def test_average_is_the_mean_of_the_frames_errors():
    batch = make_batch(step=0.0)
    batch["frame_1"] = 1 - batch["frame_0"]
    loss = PhotometricLoss(weights={0: 1.0}, automask=False, average=True)

    value = loss(disparities_of(3.0, loss), batch, NO_POSES)[0]

    other = reprojection_error(batch["frame_1"], batch["frame_0"]).mean()
    assert value.item() == pytest.approx(other.item() / 2, rel=1e-5)


@pytest.mark.parametrize("average", [False, True])
def test_automask_prefers_standing_frames(average: bool):
    """Nothing moves, the pose says otherwise: automasked, the wrong warps cost (almost) nothing."""
    batch = make_batch(step=0.0)
    masked = PhotometricLoss(weights={0: 1.0}, average=average)
    plain = PhotometricLoss(weights={0: 1.0}, automask=False, average=average)
    disparities = disparities_of(DEPTH, masked)

    assert masked(disparities, batch, TRUE_POSES)[0].abs() < 1e-5 < 0.05 < plain(disparities, batch, TRUE_POSES)[0]
    assert not masked.diagnose(disparities, batch, TRUE_POSES).automask.any()


def test_noise_is_drawn_once_and_shared_by_all_scales():
    """A standing scene with zero pose ties everywhere: about half of the ties go to the noise below 0."""
    batch = make_batch(step=0.0)
    loss = PhotometricLoss(weights=SCALES, smoothness=0.0)
    torch.manual_seed(3)
    noise = 1e-5 * torch.randn(1, 1, HEIGHT, WIDTH)
    after = torch.get_rng_state()

    torch.manual_seed(3)
    by_scale = loss(disparities_of(4.0, loss), batch, NO_POSES)

    assert torch.equal(torch.get_rng_state(), after)
    for value in by_scale.values():
        assert value.item() == pytest.approx(noise.clamp(max=0).mean().item(), abs=2e-7)


def test_smoothness_halves_with_every_scale_and_is_measured_at_its_own_size():
    batch = make_batch(step=0.0)
    loss = PhotometricLoss(weights=SCALES, automask=False, smoothness=0.5)
    disparities = {scale: torch.rand(1, 1, HEIGHT >> scale, WIDTH >> scale) for scale in SCALES}

    by_scale = loss(disparities, batch, NO_POSES)

    for scale, value in by_scale.items():
        image = batch[f"frame_0_s{scale}"] if scale else batch["frame_0"]
        expected = 0.5 / 2**scale * edge_aware_smoothness(disparities[scale], image)
        assert value.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("scale", [1, 3])
def test_coarse_disparities_are_enlarged_edges_onto_edges(scale: int):
    batch = make_batch()
    loss = PhotometricLoss(weights={0: 1.0, scale: 1.0}, automask=False, smoothness=0.0)
    coarse = torch.rand(1, 1, HEIGHT >> scale, WIDTH >> scale)
    full = torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)

    by_scale = loss({0: full, scale: coarse}, batch, TRUE_POSES)

    assert by_scale[0] == by_scale[scale]
    view = PhotometricLoss(weights={scale: 1.0}).diagnose({scale: coarse}, batch, TRUE_POSES)
    assert torch.equal(view.depth, 1 / (0.01 + (10 - 0.01) * full))


def test_without_ssim_the_error_is_l1():
    batch = make_batch()
    loss = PhotometricLoss(weights={0: 1.0}, offsets=(1,), use_ssim=False, automask=False)

    value = loss(disparities_of(DEPTH, loss), batch, {1: slid(0.0)})[0]

    assert value.item() == pytest.approx((batch["frame_1"] - batch["frame_0"]).abs().mean().item(), rel=1e-5)


def test_gradients_are_those_of_the_plain_computation():
    """Warping again for the gradient, frame by frame, must not change it."""
    batch = make_batch()
    loss = PhotometricLoss(weights={0: 1.0}, automask=False, smoothness=0.0)
    disparity = (disparity_of(4.0, loss) * (1 + 0.2 * torch.rand(1, 1, HEIGHT, WIDTH))).requires_grad_()
    poses = {offset: pose.clone().requires_grad_() for offset, pose in TRUE_POSES.items()}

    value = loss({0: disparity}, batch, poses)[0]
    gradients = torch.autograd.grad(value, [disparity, poses[-1], poses[1]])

    depth = 1 / (0.01 + 9.99 * disparity)
    errors = [
        reprojection_error(warp(batch[f"frame_{o}"], depth, batch["intrinsics"], poses[o]), batch["frame_0"])
        for o in (-1, 1)
    ]
    plain = torch.cat(errors, dim=1).min(1).values.mean()
    expected = torch.autograd.grad(plain, [disparity, poses[-1], poses[1]])
    assert value.item() == pytest.approx(plain.item(), rel=1e-5)
    for gradient, other in zip(gradients, expected, strict=True):
        assert gradient.abs().max() > 0
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5 * other.abs().max().item())


def test_descent_finds_the_depth_of_the_wall():
    batch = make_batch()
    blur = torch.nn.AvgPool2d(5, 1, 2, count_include_pad=False)  # a texture without it has many wrong minima
    batch |= {key: blur(image) for key, image in batch.items() if key.startswith("frame_") and "_s" not in key}
    loss = PhotometricLoss(weights={0: 1.0}, automask=False)
    logit = torch.logit(disparity_of(6.0, loss)[:, :, :1, :1]).requires_grad_()
    optimizer = torch.optim.Adam([logit], lr=0.03)

    for _ in range(40):
        optimizer.zero_grad()
        loss({0: logit.sigmoid().expand(1, 1, HEIGHT, WIDTH)}, batch, TRUE_POSES)[0].backward()
        optimizer.step()

    found = 1 / (0.01 + 9.99 * logit.sigmoid()).item()
    assert found == pytest.approx(DEPTH, rel=0.03)


def test_autocast_changes_nothing():
    batch = make_batch()
    loss = PhotometricLoss(weights=SCALES)
    disparities = {scale: value.bfloat16() for scale, value in disparities_of(4.0, loss).items()}
    torch.manual_seed(1)
    expected = loss(disparities, batch, TRUE_POSES)

    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        by_scale = loss(disparities, batch, TRUE_POSES)

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


def test_step_never_waits_for_the_device():
    batch = make_batch()
    loss = PhotometricLoss(weights=SCALES)
    disparities = {scale: value.requires_grad_() for scale, value in disparities_of(4.0, loss).items()}

    with ForbidSync():
        loss.combine(loss(disparities, batch, TRUE_POSES)).backward()


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


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_validation_measures_the_same_loss(mode: Callable[[], AbstractContextManager]):
    batch = make_batch()
    loss = PhotometricLoss(weights=SCALES, automask=False)
    disparities = {scale: value.requires_grad_() for scale, value in disparities_of(4.0, loss).items()}
    expected = loss(disparities, batch, TRUE_POSES)

    with mode():
        by_scale = loss(disparities, batch, TRUE_POSES)

    for scale, value in by_scale.items():
        assert not value.requires_grad and value.item() == expected[scale].item()


def test_combine_is_the_mean_of_weighted_scales():
    loss = PhotometricLoss(weights={0: 1.0, 2: 3.0})

    total = loss.combine({0: torch.tensor(2.0), 2: torch.tensor(5.0)})

    assert total.item() == pytest.approx((2 + 15) / 2)


def section(**kwargs: object) -> Photometric:
    return Photometric(loss="ssde", kwargs={"scales": [0, 2], "weight": [1.0, 0.5], **kwargs})


def test_build_passes_on_what_the_config_says():
    kwargs = {"min_depth": 0.5, "max_depth": 60.0, "disparity_smoothness": 0.01, "no_ssim": True}
    more = {"avg_reprojection": True, "disable_automasking": True, "frame_ids": [0, -2, 2], "batch_size": 4}

    loss = build_photometric(section(**kwargs, **more), frame_ids=[0, -2, 2, 1])

    assert loss.weights == {0: 1.0, 2: 0.5} and loss.offsets == (-2, 2)
    assert (loss.min_depth, loss.max_depth, loss.smoothness) == (0.5, 60.0, 0.01)
    assert (loss.use_ssim, loss.average, loss.automask) == (False, True, False)


def test_build_defaults_to_the_paper_and_the_frames_of_the_data():
    loss = build_photometric(section(), frame_ids=[0, -1, 1])

    assert loss.offsets == (-1, 1)
    assert (loss.min_depth, loss.max_depth, loss.smoothness) == (0.1, 100.0, 1e-3)
    assert (loss.use_ssim, loss.average, loss.automask) == (True, False, True)
