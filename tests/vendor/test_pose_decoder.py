import torch

from vendor.monodepth2.pose import PoseDecoder


def test_published_names_and_size():
    decoder = PoseDecoder(in_channels=512, n_motions=2)
    shapes = {name: tuple(value.shape) for name, value in decoder.state_dict().items()}
    assert shapes == {
        "net.0.weight": (256, 512, 1, 1),
        "net.0.bias": (256,),
        "net.1.weight": (256, 256, 3, 3),
        "net.1.bias": (256,),
        "net.2.weight": (256, 256, 3, 3),
        "net.2.bias": (256,),
        "net.3.weight": (12, 256, 1, 1),
        "net.3.bias": (12,),
    }
    assert sum(p.numel() for p in decoder.parameters()) == 1_314_572


def test_motions_are_a_hundredth_of_the_mean_in_the_order_rotation_translation():
    decoder = PoseDecoder(in_channels=4, n_motions=2, channels=3)
    with torch.no_grad():
        decoder.net[3].weight.zero_()
        decoder.net[3].bias.copy_(torch.arange(12.0))
    rotation, translation = decoder(torch.randn(2, 4, 3, 5))
    torch.testing.assert_close(rotation[1], 0.01 * torch.tensor([[0.0, 1, 2], [6, 7, 8]]))
    torch.testing.assert_close(translation[0], 0.01 * torch.tensor([[3.0, 4, 5], [9, 10, 11]]))


def test_last_layer_sees_rectified_features_and_is_averaged_over_positions():
    decoder = PoseDecoder(in_channels=1, n_motions=1, channels=1)
    with torch.no_grad():
        for conv in decoder.net:
            conv.weight.zero_()
            conv.bias.zero_()
        decoder.net[0].weight.fill_(1.0)
        decoder.net[1].weight[..., 1, 1] = 1.0
        decoder.net[2].weight[..., 1, 1] = 1.0
        decoder.net[3].weight.fill_(1.0)
    rotation, translation = decoder(torch.tensor([[[[-4.0, 6.0]]]]))
    # relu([-4, 6]) = [0, 6], mean 3, times 0.01
    torch.testing.assert_close(rotation, torch.full((1, 1, 3), 0.03))
    torch.testing.assert_close(translation, torch.full((1, 1, 3), 0.03))


def test_motions_are_float32_under_autocast():
    decoder = PoseDecoder(in_channels=8, n_motions=2, channels=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rotation, translation = decoder(torch.randn(1, 8, 2, 2))
    assert rotation.dtype == translation.dtype == torch.float32
