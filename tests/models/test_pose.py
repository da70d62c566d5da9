import torch

from models.pose import PoseNet


def test_motions_of_two_and_of_three_frames():
    frames = [torch.rand(2, 3, 32, 64) for _ in range(3)]
    for n_frames, n_motions in ((2, 2), (3, 2)):
        rotation, translation = PoseNet(n_frames=n_frames, n_motions=n_motions)(frames[:n_frames])
        assert rotation.shape == translation.shape == (2, n_motions, 3)


def test_frozen_network_keeps_weights_and_statistics():
    pose_net = PoseNet(n_frames=2, n_motions=2)
    pose_net.freeze()
    pose_net.train()
    before = {name: value.clone() for name, value in pose_net.state_dict().items()}
    rotation, _ = pose_net([torch.rand(2, 3, 32, 32)] * 2)
    assert not rotation.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in pose_net.state_dict().items())
