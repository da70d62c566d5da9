import pytest
import torch

from models.encoder import Encoder
from models.pose import PoseNet


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_size_is_the_published_one():
    pose_net = PoseNet(n_frames=2, n_motions=2)
    assert count(pose_net.encoder) == 11_185_920
    assert count(pose_net.decoder) == 1_314_572


def test_names_are_torchvisions_and_the_published_decoders():
    state = PoseNet(n_frames=2, n_motions=2).state_dict()
    assert state["encoder.conv1.weight"].shape == (64, 6, 7, 7)
    assert "encoder.layer4.1.bn2.running_var" in state
    assert state["decoder.net.3.weight"].shape == (12, 256, 1, 1)


def test_motions_of_two_and_of_three_frames():
    frames = [torch.rand(2, 3, 32, 64) for _ in range(3)]
    for n_frames, n_motions in ((2, 2), (3, 2)):
        rotation, translation = PoseNet(n_frames=n_frames, n_motions=n_motions)(frames[:n_frames])
        assert rotation.shape == translation.shape == (2, n_motions, 3)


@pytest.mark.parametrize("n_frames", [2, 3])
def test_repeated_stem_gives_the_feature_of_one_image_for_equal_images(n_frames: int):
    single = Encoder(name="resnet18").eval()
    pose_net = PoseNet(n_frames=n_frames, n_motions=2).eval()
    pose_net.encoder.load_classifier(single.state_dict(), source="test")
    # Repeated and divided
    stem = pose_net.encoder.conv1.weight
    for k in range(n_frames):
        torch.testing.assert_close(stem[:, 3 * k : 3 * k + 3], single.conv1.weight / n_frames)
    # Same input normalisation: nothing differs but the rounding of the sum
    image = torch.rand(1, 3, 32, 32)
    stacked = pose_net.encoder(torch.cat([image] * n_frames, dim=1))
    torch.testing.assert_close(stacked[-1], single(image)[-1], rtol=1e-4, atol=1e-4)


def test_frozen_network_keeps_weights_and_statistics():
    pose_net = PoseNet(n_frames=2, n_motions=2)
    pose_net.freeze()
    pose_net.train()
    before = {name: value.clone() for name, value in pose_net.state_dict().items()}
    rotation, _ = pose_net([torch.rand(2, 3, 32, 32)] * 2)
    assert not rotation.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in pose_net.state_dict().items())


def test_bad_numbers_of_frames_are_refused():
    with pytest.raises(ValueError, match="at least 2 frames, got n_frames 1"):
        PoseNet(n_frames=1, n_motions=1)
    with pytest.raises(ValueError, match="stacks 2 frames, got 3"):
        PoseNet(n_frames=2, n_motions=2)([torch.rand(1, 3, 32, 32)] * 3)
