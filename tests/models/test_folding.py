"""Folded networks say what the networks they come from say, without a batch norm, and leave those as they were."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.build import build_model
from models.decoder import ConvBlock
from models.folding import fold_batch_norms
from tests.helpers.model_setups import CHANNELS, baseline_setup, narrow_setup, setup_section
from utils.config.schema.setup import SetupConfig
from utils.layers import ConvNormReLU


def video_setup() -> SetupConfig:
    return narrow_setup(["semseg", "disp"], name="ours-cxatt_monodepth", is_regression=True)


def padnet_setup() -> SetupConfig:
    heads = {task: {"head": "deeplab", "kwargs": {"num_out_ch": CHANNELS[task]}} for task in ("semseg", "depth")}
    model = {"backbone": "resnet18", "use_dilation": False, "tasks": heads}
    return setup_section("padnet", model)


SETUPS = {
    "deeplab": baseline_setup(["semseg", "depth"]),
    "resnet50": baseline_setup(["depth"], backbone="resnet50", use_dilation=[False, False, True]),
    "decoders": narrow_setup(name="baseline"),
    "padnet": padnet_setup(),
    "padnet+": narrow_setup(name="padnet+"),
    "3ways": narrow_setup(name="3ways"),
    "ours": narrow_setup(),
    "ours, three tasks": narrow_setup(["semseg", "depth", "normals"], kwargs={"ablation": ["SxTAM"]}),
    "video": video_setup(),
    "norms in the decoder": narrow_setup(batch_norm=True, n_project_skip_ch=4),
    "no aspp": narrow_setup(batch_norm=True, intermediate_aspp=False),
    "frozen backbone": narrow_setup(model={"freeze_backbone": True}),
}


def trained(setup: SetupConfig, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in training mode whose norms have statistics and weights that tell them apart."""
    model = build_model(setup, pretrained=False).to(dtype)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    for name, parameter in model.named_parameters():
        if name.endswith("alpha"):  # at 0, an exchange says nothing of its attention
            nn.init.normal_(parameter)
    return model.train()


def norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def outputs(model: nn.Module, image: torch.Tensor) -> dict[tuple[str, int], torch.Tensor]:
    with torch.inference_mode():
        return {(task, scale): value for task, scales in model(image).items() for scale, value in scales.items()}


@pytest.mark.parametrize(
    "name, dtype, tolerance",
    [(name, torch.float64, 1e-10) for name in SETUPS]
    + [(name, torch.float32, 1e-4) for name in ("padnet", "ours", "norms in the decoder")],
)
def test_every_network_says_the_same_without_a_batch_norm(name, dtype, tolerance):
    model, image = trained(SETUPS[name], dtype), torch.rand(1, 3, 64, 96, dtype=dtype)
    folded = fold_batch_norms(model)
    assert norms(model) and not norms(folded)
    assert not any(module.training for module in folded.modules())
    given, expected = outputs(folded, image), outputs(copy.deepcopy(model).eval(), image)
    assert list(given) == list(expected)
    for output, value in expected.items():
        assert value.std() > 0, output
        error = (given[output] - value).abs().max() / value.abs().max()
        assert error <= max(tolerance, 2 * torch.finfo(value.dtype).eps), output  # a disparity is float32 always


def test_the_network_is_left_as_it_was_and_trains_on():
    model, image = trained(SETUPS["norms in the decoder"]), torch.rand(2, 3, 64, 64)
    before = copy.deepcopy(model)
    fold_batch_norms(model)
    state = model.state_dict()
    assert list(state) == list(before.state_dict())
    assert all(torch.equal(state[name], value) for name, value in before.state_dict().items())
    assert all(module.training for module in model.modules())

    def step(network: nn.Module) -> list[torch.Tensor]:
        torch.manual_seed(0)  # dropout
        sum(value.square().mean() for scales in network(image).values() for value in scales.values()).backward()
        return [parameter.grad for parameter in network.parameters()] + list(network.buffers())

    for given, expected in zip(step(model), step(before), strict=True):
        assert (given is None) == (expected is None)
        assert given is None or torch.equal(given, expected)


def test_a_frozen_backbone_stays_frozen_in_the_network():
    model = trained(SETUPS["frozen backbone"])
    fold_batch_norms(model)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert model.heads.training and not model.backbone.training


def test_only_the_weights_of_folded_convolutions_are_copied():
    model = trained(SETUPS["ours"])
    folded = fold_batch_norms(model)
    known = {id(parameter) for parameter in model.parameters()}
    shared = {name for name, parameter in folded.named_parameters() if id(parameter) in known}
    own = {name for name, _ in folded.named_parameters()} - shared
    assert "heads.depth.levels.1.merge.conv.weight" in shared and "heads.depth.predictions.0.bias" in shared
    assert len(own) == 2 * len(norms(model))  # a weight and a bias for each
    # A second time there is nothing left to fold, and nothing is copied.
    again = dict(fold_batch_norms(folded).named_parameters())
    assert all(again[name] is parameter for name, parameter in folded.named_parameters())


def test_the_copy_follows_the_weights_when_folded_again():
    model, image = trained(SETUPS["ours"]), torch.rand(2, 3, 64, 64)
    before = outputs(fold_batch_norms(model), image)
    with torch.no_grad():
        model.backbone.bn1.running_mean.add_(0.5)
        model.backbone.conv1.weight.mul_(0.5)
    given, expected = outputs(fold_batch_norms(model), image), outputs(model.eval(), image)
    for name, value in expected.items():
        torch.testing.assert_close(given[name], value, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(before[name], value, rtol=1e-3)


@pytest.mark.parametrize("inference", [False, True])
def test_memory_format_and_synchronised_norms(inference):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(trained(SETUPS["norms in the decoder"]))
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode(inference):
        folded = fold_batch_norms(model)
    assert norms(model) and not norms(folded)
    convolutions = [module for module in folded.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.weight.is_contiguous(memory_format=torch.channels_last) for conv in convolutions)
    image = torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    given, expected = outputs(folded, image), outputs(model.eval(), image)
    for name, value in expected.items():
        torch.testing.assert_close(given[name], value, rtol=1e-4, atol=1e-4)


class OtherOrder(ConvNormReLU):
    """A block of the same parts whose norm comes first."""

    def forward(self, x):
        return self.conv(self.norm(x))


def test_norms_whose_place_is_not_known_stay():
    """Another order of the same parts, a norm without statistics, a convolution that is more than one, and no block."""
    without = ConvNormReLU(in_channels=3, out_channels=3)
    without.norm = nn.BatchNorm2d(3, track_running_stats=False)
    spectral = ConvBlock(in_channels=3, out_channels=3, batch_norm=True, dropout=0.0)
    nn.utils.parametrizations.spectral_norm(spectral.conv)
    loose = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)]
    model = nn.Sequential(OtherOrder(in_channels=3, out_channels=3), without, spectral, *loose).eval()
    nn.init.normal_(model[0].norm.running_mean)
    folded, x = fold_batch_norms(model), torch.randn(2, 3, 8, 8)
    assert len(norms(folded)) == len(norms(model)) == 4
    assert torch.equal(folded(x), model(x))
