import torch
import torch.nn.functional as F

from models.encoder import Encoder
from models.padnet import PADNet, PADNetHead


def make_network() -> PADNet:
    backbone = Encoder(name="resnet18")
    options = {"semseg": (5, {}), "disp": (1, {"is_regression": True}), "edges": (2, {"auxiliary": True})}
    heads = {
        task: PADNetHead(in_channels=backbone.channels[-1], out_channels=channels, **flags)
        for task, (channels, flags) in options.items()
    }
    return PADNet(backbone=backbone, heads=heads)


def test_predictions_and_their_sizes():
    network = make_network()
    predictions = network(torch.rand(2, 3, 64, 96))
    shapes = {task: {scale: tuple(p.shape) for scale, p in scales.items()} for task, scales in predictions.items()}
    assert shapes == {
        "semseg": {2: (2, 5, 2, 3), 0: (2, 5, 64, 96)},
        "disp": {2: (2, 1, 2, 3), 0: (2, 1, 64, 96)},
        "edges": {2: (2, 2, 2, 3)},
    }
    for disparity in predictions["disp"].values():
        assert 0 < disparity.min() and disparity.max() < 1


def test_against_the_formula():
    network, image = make_network().eval(), torch.rand(1, 3, 64, 64)
    predictions = network(image)
    feature = network.backbone(image)[-1]
    semseg, disp, edges = (network.heads[task].initial(feature) for task in network.tasks)
    attend = network.exchanges["0"]["semseg"]
    distilled = semseg
    for source, other in (("disp", disp), ("edges", edges)):
        distilled = distilled + attend[source].conv(other) * torch.sigmoid(attend[source].gate(other))
    head = network.heads["semseg"]
    torch.testing.assert_close(predictions["semseg"][2], head.predict_initial(semseg))
    final = F.interpolate(head.predict_final(head.refine(distilled)), size=(64, 64), mode="bilinear")
    torch.testing.assert_close(predictions["semseg"][0], final)


def test_an_auxiliary_task_guides_but_is_not_guided():
    network = make_network()
    assert list(network.exchanges["0"]) == ["semseg", "disp"]
    network(torch.rand(2, 3, 64, 64))["semseg"][0].sum().backward()
    assert network.heads["edges"].initial[0].conv1.weight.grad.abs().sum() > 0
    assert network.heads["edges"].predict_initial[0].weight.grad is None
