import torch

from vendor.monodepth2.pose import PoseDecoder


def test_published_names_and_size():
    decoder = PoseDecoder(in_channels=512, n_motions=2)
    weights = [(256, 512, 1, 1), (256, 256, 3, 3), (256, 256, 3, 3), (12, 256, 1, 1)]
    expected = {f"net.{k}.weight": shape for k, shape in enumerate(weights)}
    expected |= {f"net.{k}.bias": shape[:1] for k, shape in enumerate(weights)}
    assert {name: tuple(value.shape) for name, value in decoder.state_dict().items()} == expected


def test_motions_are_a_hundredth_of_the_mean_in_the_order_rotation_translation_in_float32_under_autocast():
    decoder = PoseDecoder(in_channels=4, n_motions=2, channels=3)
    with torch.no_grad():
        decoder.net[3].weight.zero_()
        decoder.net[3].bias.copy_(torch.arange(12.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rotation, translation = decoder(torch.randn(2, 4, 3, 5))
    torch.testing.assert_close(rotation[1], 0.01 * torch.tensor([[0.0, 1, 2], [6, 7, 8]]))
    torch.testing.assert_close(translation[0], 0.01 * torch.tensor([[3.0, 4, 5], [9, 10, 11]]))


def test_last_layer_sees_rectified_features_and_is_averaged_over_positions():
    decoder = PoseDecoder(in_channels=1, n_motions=1, channels=1)
    with torch.no_grad():
        for conv in decoder.net:
            conv.weight.zero_()
            conv.weight[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1.0
            conv.bias.zero_()
    # relu([-4, 6]) = [0, 6], mean 3, times 0.01
    for motion in decoder(torch.tensor([[[[-4.0, 6.0]]]])):
        torch.testing.assert_close(motion, torch.full((1, 1, 3), 0.03))
