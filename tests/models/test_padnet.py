import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.padnet import PADNet, PADNetHead


class TinyBackbone(nn.Module):
    """Two features, the last at 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = (4, 6)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.last = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(image)
        return [first, self.last(first)]


def make_head(out_channels: int, **options) -> PADNetHead:
    return PADNetHead(in_channels=6, out_channels=out_channels, channels=8, **options)


def make_network() -> PADNet:
    heads = {"semseg": make_head(5), "disp": make_head(1, is_regression=True), "edges": make_head(2, auxiliary=True)}
    return PADNet(backbone=TinyBackbone(), heads=heads)


def test_predictions_and_their_sizes():
    network = make_network()
    image = torch.rand(2, 3, 16, 24)
    predictions = network(image)
    shapes = {task: {scale: tuple(p.shape) for scale, p in scales.items()} for task, scales in predictions.items()}
    assert shapes == {
        "semseg": {2: (2, 5, 4, 6), 0: (2, 5, 16, 24)},
        "disp": {2: (2, 1, 4, 6), 0: (2, 1, 16, 24)},
        "edges": {2: (2, 2, 4, 6)},
    }
    assert network.tasks == ("semseg", "disp", "edges")
    assert {task: tuple(scales) for task, scales in predictions.items()} == network.scales
    for disparity in predictions["disp"].values():
        assert 0 < disparity.min() and disparity.max() < 1


def test_against_the_formula():
    network = make_network().eval()
    image = torch.rand(1, 3, 16, 16)
    predictions = network(image)

    feature = network.backbone(image)[-1]
    semseg, disp, edges = (network.heads[task].initial(feature) for task in network.tasks)
    attend = network.exchanges["0"]["semseg"]
    distilled = semseg
    for source, other in (("disp", disp), ("edges", edges)):
        distilled = distilled + attend[source].conv(other) * torch.sigmoid(attend[source].gate(other))
    head = network.heads["semseg"]
    torch.testing.assert_close(predictions["semseg"][2], head.predict_initial(semseg))
    final = F.interpolate(head.predict_final(head.refine(distilled)), size=(16, 16), mode="bilinear")
    torch.testing.assert_close(predictions["semseg"][0], final)


def test_an_auxiliary_task_guides_but_is_not_guided():
    network = make_network()
    assert list(network.exchanges["0"]) == ["semseg", "disp"]
    assert list(network.exchanges["0"]["semseg"]) == ["disp", "edges"]
    network(torch.rand(2, 3, 16, 16))["semseg"][0].sum().backward()
    assert network.heads["edges"].initial[0].conv1.weight.grad.abs().sum() > 0
    assert network.heads["edges"].predict_initial[0].weight.grad is None


def test_one_task_has_nobody_to_listen_to():
    network = PADNet(backbone=TinyBackbone(), heads={"depth": make_head(1)})
    assert list(network.exchanges.parameters()) == []
    assert network(torch.rand(2, 3, 8, 8))["depth"][0].shape == (2, 1, 8, 8)


def test_bad_heads_are_refused():
    with pytest.raises(ValueError, match=r"must not be auxiliary, got \['edges'\]"):
        PADNet(backbone=TinyBackbone(), heads={"edges": make_head(2, auxiliary=True)})
    narrow = PADNetHead(in_channels=6, out_channels=1, channels=4)
    with pytest.raises(ValueError, match=r"same channels, got \{'semseg': 8, 'depth': 4\}"):
        PADNet(backbone=TinyBackbone(), heads={"semseg": make_head(5), "depth": narrow})
