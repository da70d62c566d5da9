"""What every multi-task network keeps, whatever its method."""

import pytest
import torch
from torch import nn

from models.build import build_model
from tests.helpers.forbid_sync import ForbidSync
from tests.helpers.model_setups import CHANNELS, baseline_setup, narrow_setup

TASKS = ("semseg", "depth", "normals")
SETUPS = {
    "deeplab": baseline_setup(TASKS),
    "baseline": narrow_setup(TASKS, name="baseline"),
    "padnet": narrow_setup(TASKS, name="padnet"),
    "3ways": narrow_setup(TASKS, name="3ways"),
    "ours": narrow_setup(TASKS),
    "video": narrow_setup(("semseg", "disp"), name="ours_monodepth", is_regression=True),
}


@pytest.fixture(params=SETUPS)
def model(request) -> nn.Module:
    network = build_model(SETUPS[request.param], pretrained=False)
    for name, parameter in network.named_parameters():
        if name.endswith("alpha"):
            nn.init.normal_(parameter)  # so that the attention has a say
    return network


def flat(predictions) -> dict[tuple[str, int], torch.Tensor]:
    return {(task, scale): p for task, by_scale in predictions.items() for scale, p in by_scale.items()}


def test_a_tensor_per_task_and_scale(model):
    predictions = model(torch.rand(2, 3, 64, 96))
    assert tuple(predictions) == model.tasks
    assert {task: set(scales) for task, scales in predictions.items()} == {t: set(s) for t, s in model.scales.items()}
    for task, scales in predictions.items():
        assert scales[0].shape == (2, CHANNELS[task], 64, 96)


def test_each_parameter_of_heads_and_exchanges_serves_one_task(model):
    network = getattr(model, "main", model)
    served = [id(parameter) for task in model.tasks for parameter in model.task_parameters(task)]
    expected = [id(p) for part in (network.heads, network.exchanges) for p in part.parameters()]
    assert sorted(served) == sorted(expected)
    head = next(network.heads["semseg"].parameters())
    assert any(parameter is head for parameter in model.task_parameters("semseg"))


def test_every_parameter_learns_without_a_host_sync(model):
    network = getattr(model, "main", model)
    with ForbidSync():
        sum(p.square().mean() for p in flat(model(torch.rand(2, 3, 64, 64))).values()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_predictions_do_not_depend_on_how_they_are_computed(model):
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = flat(model.eval()(image))
        with torch.autocast("cpu", torch.bfloat16):
            low = flat(model(image))
        alone = flat(model(image[1:2]))
        last = flat(model.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last)))
    for output, value in expected.items():
        torch.testing.assert_close(alone[output][0], value[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(last[output], value, rtol=1e-4, atol=1e-5)
        assert (low[output].float() - value).abs().mean() < 0.05 * value.abs().mean()


def test_compiles_without_graph_breaks():
    model, image = build_model(SETUPS["ours"], pretrained=False).eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = flat(model(image))
        compiled = flat(torch.compile(model, backend="eager", fullgraph=True)(image))
    assert all(torch.equal(compiled[output], value) for output, value in expected.items())
