from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from models.encoder import Encoder
from utils.errors import UserError


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """torchvision's ResNet-18 with random weights and batch norm statistics."""
    resnet = torchvision.models.resnet18(weights=None)
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return resnet.eval()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch hub, and no network."""

    def unreachable(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(
    "name, dilated, channels, strides",
    [
        ("resnet18", (False, False, False), (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("resnet50", (False, False, True), (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 16)),
        ("resnet101", (False, False, False), (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)),
        ("resnet101", (False, True, True), (64, 256, 512, 1024, 2048), (2, 4, 8, 8, 8)),
    ],
)
def test_five_features_at_their_strides(name, dilated, channels, strides):
    with torch.device("meta"):
        encoder = Encoder(name=name, use_dilation=dilated)
        features = encoder(torch.rand(2, 3, 64, 96))
    assert encoder.channels == channels
    assert [tuple(f.shape) for f in features] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(channels, strides, strict=True)
    ]


def test_features_are_those_of_the_classifier_on_the_normalised_image(classifier):
    encoder = Encoder(name="resnet18").eval()
    encoder.load_classifier(classifier.state_dict(), source="test")
    image = torch.rand(2, 3, 64, 64)
    features = encoder(image)

    x = (image - 0.45) / 0.225
    stem = classifier.relu(classifier.bn1(classifier.conv1(x)))
    torch.testing.assert_close(features[0], stem)
    pooled = features[4].mean(dim=(2, 3))
    torch.testing.assert_close(classifier.fc(pooled), classifier(x))


def test_frozen_encoder_neither_learns_nor_counts():
    encoder = Encoder(name="resnet18")
    encoder.freeze()
    model = nn.Sequential(encoder).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model(torch.rand(2, 3, 64, 64))
    assert model.training and not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("n_images", [2, 3])
def test_equal_stacked_images_give_the_first_convolution_of_one(classifier, n_images):
    single, stacked = Encoder(name="resnet18").eval(), Encoder(name="resnet18", n_images=n_images).eval()
    for encoder in (single, stacked):
        encoder.load_classifier(classifier.state_dict(), source="test")
    image = torch.rand(1, 3, 64, 64)
    result = stacked(torch.cat([image] * n_images, dim=1))[-1]
    torch.testing.assert_close(result, single(image)[-1], rtol=1e-4, atol=1e-5)


def test_imagenet_weights_come_from_the_cache_folder(cache, classifier):
    cache.mkdir()
    torch.save(classifier.state_dict(), cache / "resnet18-f37072fd.pth")
    encoder = Encoder(name="resnet18")
    encoder.load_imagenet()
    assert torch.equal(encoder.layer3[1].conv2.weight, classifier.layer3[1].conv2.weight)
    (cache / "resnet18-f37072fd.pth").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match="resnet18-f37072fd.pth cannot be read as weights.*cut short"):
        encoder.load_imagenet()


def test_unreachable_download_names_the_file_to_put_by_hand(cache):
    url, file = "https://download.pytorch.org/models/resnet18-f37072fd.pth", cache / "resnet18-f37072fd.pth"
    with pytest.raises(UserError, match=f"cannot download .* resnet18 .*no route to host.*{url}.*{file}"):
        Encoder(name="resnet18").load_imagenet()


def test_weights_of_another_network_are_refused(classifier):
    state = dict(classifier.state_dict())
    del state["bn1.weight"]
    state["layer5.0.conv1.weight"] = torch.zeros(1)
    with pytest.raises(UserError, match="(?s)my file does not fit.*1 missing: bn1.weight\n.*1 unexpected: layer5"):
        Encoder(name="resnet18").load_classifier(state, source="my file")
