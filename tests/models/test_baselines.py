import pytest
import torch
from torch import nn

from models.build import build_model
from models.threeways import ThreeWays
from tests.helpers.model_setups import NARROW_WIDTHS, baseline_setup, narrow_setup


class Says(nn.Module):
    """An attention that says a number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x):
        return torch.full_like(x, self.value)


def test_baseline_is_a_head_per_task_on_the_last_feature():
    model = build_model(baseline_setup(["depth", "semseg"]), pretrained=False).eval()
    image = torch.rand(2, 3, 64, 96)
    predictions = model(image)
    features = model.backbone(image)
    assert torch.equal(predictions["depth"][0], model.heads["depth"](features)[0])
    changed = [torch.zeros_like(f) for f in features[:-1]] + features[-1:]
    assert torch.equal(model.decode(changed, (64, 96))["depth"][0], predictions["depth"][0])


@pytest.mark.parametrize("name", ["padnet+", "3ways"])
def test_three_ways_exchanges_between_levels_2_and_1(name):
    model = build_model(narrow_setup(["semseg", "depth", "edges"], name=name), pretrained=False).eval()
    assert isinstance(model, ThreeWays)
    attention = model.exchanges["0"]["edges"]["depth"]
    assert {attention.conv.in_channels, attention.gate.out_channels} == {NARROW_WIDTHS[2]}

    # Others say 1, 10 and 100, whoever listens: each task hears the sum of the other two.
    for attentions in model.exchanges["0"].values():
        for source in list(attentions):
            attentions[source] = Says({"semseg": 1.0, "depth": 10.0, "edges": 100.0}[source])
    image = torch.rand(1, 3, 64, 64)
    predictions, features = model(image), model.backbone(image)
    for task, heard in {"semseg": 110.0, "depth": 101.0, "edges": 11.0}.items():
        head = model.heads[task]
        x, _ = head.run(features[-1], features, [4, 3, 2])
        _, expected = head.run(x + heard, features, [1, 0])
        torch.testing.assert_close(predictions[task], expected)
