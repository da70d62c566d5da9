import pytest
import torch

from models.discriminator import Discriminator


def test_layers_and_output_size():
    discriminator = Discriminator(in_channels=16)
    convs = [m for m in discriminator.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convs] == [(16, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    slopes = [m.negative_slope for m in discriminator.modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.2] * 4
    assert discriminator(torch.randn(2, 16, 64, 96)).shape == (2, 1, 2, 3)


def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    discriminator = Discriminator(in_channels=3)
    convs = [m for m in discriminator.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        for conv in convs:
            conv.parametrizations.weight.original.mul_(50.0)
        for _ in range(10):  # each forward pass in training refines the estimate of the norm
            discriminator(torch.randn(1, 3, 32, 32))
        for conv in convs:
            norm = torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2).item()  # [out,in*4*4]
            assert norm == pytest.approx(1.0, abs=0.1)


def test_flips_follow_the_generator_and_only_in_training():
    discriminator = Discriminator(in_channels=2)
    discriminator.net = torch.nn.Identity()
    maps = torch.arange(64 * 2 * 1 * 3.0).reshape(64, 2, 1, 3)  # [B,C,H,W]
    torch.manual_seed(3)
    first = discriminator(maps)
    torch.manual_seed(3)
    assert torch.equal(discriminator(maps), first)

    kept = (first == maps).all(dim=(1, 2, 3))  # [B]
    flipped = (first == maps.flip(-1)).all(dim=(1, 2, 3))  # [B]
    assert torch.all(kept ^ flipped)
    assert 16 < flipped.sum() < 48  # 32 expected of 64, 4 standard deviations each way
    assert torch.equal(discriminator.eval()(maps), maps)
