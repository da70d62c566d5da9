from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from models.build import build_model
from models.pose import PoseNet
from models.video_depth import VideoDepth
from tests.helpers.model_setups import narrow_setup
from utils.geometry import rigid_transform


class TinyMain(nn.Module):
    """A network of one task, whose prediction is the mean of the last feature, resized."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks, self.scales = ("disp",), {"disp": (0,)}
        self.backbone = TinyBackbone()

    def forward(self, image: Tensor) -> dict[str, dict[int, Tensor]]:
        return self.decode(self.backbone(image), image.shape[-2:])

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> dict[str, dict[int, Tensor]]:
        return {"disp": {0: features[-1].mean(dim=1, keepdim=True).expand(-1, -1, *size)}}


class TinyBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.calls = 0

    def forward(self, image: Tensor) -> list[Tensor]:
        self.calls += 1
        return [self.conv(image).mean(dim=(2, 3), keepdim=True)]


class BrightnessPose(nn.Module):
    """Motion k rotates about x by the first frame's red value and moves along z by (k + 1) times the last one's."""

    def __init__(self, n_motions: int = 2) -> None:
        super().__init__()
        self.n_motions = n_motions
        self.seen: list[list[float]] = []

    def forward(self, frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        self.seen.append([frame[0, 0, 0, 0].item() for frame in frames])
        rotation = torch.zeros(len(frames[0]), self.n_motions, 3)
        translation = torch.zeros_like(rotation)
        rotation[..., 0] = frames[0][:, 0, 0, :1]
        translation[..., 2] = frames[-1][:, 0, 0, :1] * torch.arange(1, self.n_motions + 1)
        return rotation, translation


def flat_frames(offsets: Sequence[int]) -> dict[int, Tensor]:
    """Frames whose every value is 0.3 + offset / 10, so that a stack shows its order."""
    return {offset: torch.full((1, 3, 4, 4), 0.3 + offset / 10) for offset in offsets}


def motion(x_rotation: float, z_translation: float, *, invert: bool) -> Tensor:
    return rigid_transform(torch.tensor([[x_rotation, 0, 0]]), torch.tensor([[0, 0, z_translation]]), invert)


def test_pairs_are_in_the_order_of_time_and_the_past_is_inverted():
    pose = BrightnessPose()
    model = VideoDepth(main=TinyMain(), pose_net=pose, frame_ids=[0, 1, -1, -2])
    transforms = model.motions(flat_frames([0, 1, -1, -2]))
    assert list(transforms) == [-2, -1, 1]
    assert pose.seen == [pytest.approx(pair) for pair in ([0.1, 0.3], [0.2, 0.3], [0.3, 0.4])]
    # The first of the two motions: translation factor 1.
    torch.testing.assert_close(transforms[-2], motion(0.1, 0.3, invert=True))
    torch.testing.assert_close(transforms[-1], motion(0.2, 0.3, invert=True))
    torch.testing.assert_close(transforms[1], motion(0.3, 0.4, invert=False))


def test_all_frames_at_once_give_one_motion_for_each_neighbour():
    pose = BrightnessPose(n_motions=3)
    model = VideoDepth(main=TinyMain(), pose_net=pose, frame_ids=[0, 1, -1, 2], pose_model_input="all")
    transforms = model.motions(flat_frames([0, 1, -1, 2]))
    assert pose.seen == [pytest.approx([0.2, 0.3, 0.4, 0.5])]
    assert list(transforms) == [-1, 1, 2]
    for k, offset in enumerate((-1, 1, 2), 1):
        torch.testing.assert_close(transforms[offset], motion(0.2, k * 0.5, invert=False))


def test_motion_to_the_next_frame_undoes_that_of_the_next_frame_to_this_one():
    pose_net = PoseNet(n_frames=2, n_motions=2).eval()
    with torch.no_grad():  # a motion large enough to tell
        pose_net.decoder.net[3].bias.copy_(torch.linspace(-60, 80, 12))
    model = VideoDepth(main=TinyMain(), pose_net=pose_net, frame_ids=[0, -1, 1])
    first, second = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    forward = model.motions({0: first, 1: second, -1: second})[1]
    backward = model.motions({0: second, -1: first, 1: first})[-1]
    assert (forward - torch.eye(4)).abs().max() > 0.1
    torch.testing.assert_close(forward @ backward, torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0)


def test_video_runs_the_encoder_once_and_gives_its_feature():
    model = VideoDepth(main=TinyMain(), pose_net=BrightnessPose(), frame_ids=[0, -1, 1])
    image = torch.rand(1, 3, 4, 4)
    alone = model(image)
    model.main.backbone.calls = 0
    predictions, transforms, feature = model.forward_video(image, flat_frames([0, -1, 1]))
    assert model.main.backbone.calls == 1
    assert torch.equal(predictions["disp"][0], alone["disp"][0])
    assert torch.equal(feature, model.main.backbone(image)[-1])
    assert {offset: tuple(t.shape) for offset, t in transforms.items()} == {-1: (1, 4, 4), 1: (1, 4, 4)}
    assert (model.tasks, model.scales) == (("disp",), {"disp": (0,)})


def make(name: str = "ours_monodepth", data_frames: Sequence[int] = (0, -1, 1), **pose_kwargs: object) -> VideoDepth:
    model = {"pose_kwargs": pose_kwargs} if pose_kwargs else {}
    setup = narrow_setup(("semseg", "disp"), name=name, model=model, is_regression=True)
    return build_model(setup, pretrained=False, frame_ids=data_frames)


@pytest.mark.parametrize(("pose_model_input", "shape"), [("pairs", (64, 6, 7, 7)), ("all", (64, 9, 7, 7))])
def test_builder_follows_pose_kwargs(pose_model_input: str, shape: tuple[int, ...]):
    model = make(pose_model_input=pose_model_input, freeze=True)
    assert model.pose_net.encoder.conv1.weight.shape == shape
    assert not any(p.requires_grad for p in model.pose_net.parameters())
    assert not model.train().pose_net.encoder.training
    assert all(p.requires_grad for p in model.main.parameters())


def test_builder_takes_the_datasets_frames_unless_pose_kwargs_has_its_own():
    assert make(data_frames=(0, -2, 2)).frame_ids == (-2, 0, 2)
    assert make(data_frames=(0, -2, 2), frame_ids=[0, 1]).frame_ids == (0, 1)


@pytest.mark.parametrize("name", ["baseline_monodepth", "padnet_monodepth", "3ways_monodepth", "ours_monodepth"])
def test_every_method_learns_depth_from_video(name: str):
    model = make(name).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        predictions, transforms, _ = model.forward_video(image, {offset: image for offset in (-1, 0, 1)})
    assert predictions["disp"][0].shape == (1, 1, 64, 64)
    assert 0 < predictions["disp"][0].min() and predictions["disp"][0].max() < 1
    assert sorted(transforms) == [-1, 1]
