import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from models.exchange import ExchangeBlock, ExchangeDesign, TaskExchange, source_orders

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("semseg", "depth", "normals", "edges")


class Constant(nn.Module):
    """A direction feature that says one number, whatever it is given."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, own, source):
        return torch.full_like(own, self.value)


def task_exchange(combine: str) -> TaskExchange:
    """Two sources that say 10 and 100, fused by a convolution that keeps what it is given (first channels)."""
    design = ExchangeDesign(combine=combine, self_attention=False)
    exchange = TaskExchange(sources=["b", "c"], channels=1, downscale=1, design=design).eval()
    exchange.directions["b"], exchange.directions["c"] = Constant(10.0), Constant(100.0)
    weights = {"add": [1.0, 2.0], "prod": [1.0, 2.0], "concat": [5.0, 1.0, 2.0]}[combine]
    exchange.fuse.conv.weight.data = torch.tensor(weights).reshape(1, -1, 1, 1)
    exchange.fuse.norm.eps = 0.0
    return exchange


@pytest.mark.parametrize("combine, expected", [("add", 3 + 210), ("prod", 3 * 210), ("concat", 5 * 3 + 210)])
def test_combination_with_the_own_feature(combine, expected):
    own = torch.full((1, 1, 2, 2), 3.0)
    out = task_exchange(combine)(own, {"b": own, "c": own})
    assert out.tolist() == torch.full((1, 1, 2, 2), float(expected)).tolist()


def test_sources_stand_in_the_declared_order_or_the_given_one():
    declared = ExchangeBlock(tasks=TASKS, channels=2, downscale=1, design=ExchangeDesign())
    assert {target: tuple(exchange.directions) for target, exchange in declared.items()} == {
        "semseg": ("depth", "normals", "edges"),
        "depth": ("semseg", "normals", "edges"),
        "normals": ("semseg", "depth", "edges"),
        "edges": ("semseg", "depth", "normals"),
    }
    given = ExchangeBlock(
        tasks=TASKS,
        channels=2,
        downscale=1,
        design=ExchangeDesign(),
        source_order={"normals": ["edges", "semseg", "depth"]},
    )
    assert tuple(given["normals"].directions) == ("edges", "semseg", "depth")
    assert tuple(given["depth"].directions) == ("semseg", "normals", "edges")


def test_source_order_permutes_the_channels_of_the_fusion():
    tasks, channels = ("a", "b", "c"), 2
    make = {"tasks": tasks, "channels": channels, "downscale": 1, "design": ExchangeDesign()}
    declared = ExchangeBlock(**make).eval()
    turned = ExchangeBlock(**make, source_order={"a": ["c", "b"]}).eval()
    turned.load_state_dict(declared.state_dict())
    features = {task: torch.randn(1, channels, 4, 4) for task in tasks}
    assert not torch.allclose(turned(features)["a"], declared(features)["a"])
    assert torch.equal(turned(features)["b"], declared(features)["b"])

    first, second = declared["a"].fuse.conv.weight.data.split(channels, dim=1)
    turned["a"].fuse.conv.weight.data = torch.cat([second, first], dim=1)
    torch.testing.assert_close(turned(features)["a"], declared(features)["a"])


def test_all_targets_see_the_features_as_they_came():
    block = ExchangeBlock(tasks=("a", "b"), channels=2, downscale=1, design=ExchangeDesign()).eval()
    features = {task: torch.randn(1, 2, 4, 4) for task in ("a", "b")}
    before = {task: feature.clone() for task, feature in features.items()}
    out = block(features)
    for target, source in (("a", "b"), ("b", "a")):
        fused = block[target].fuse(block[target].directions[source](before[target], before[source]))
        torch.testing.assert_close(out[target], before[target] + fused)
        assert torch.equal(features[target], before[target])


def test_outputs_do_not_depend_on_the_hash_seed():
    script = """
import torch
from models.exchange import ExchangeBlock, ExchangeDesign
torch.manual_seed(0)
block = ExchangeBlock(tasks=("semseg", "depth", "normals", "edges"), channels=2, downscale=1, design=ExchangeDesign())
out = block({task: torch.randn(1, 2, 4, 4) for task in block})
print([(task, value.flatten().tolist()) for task, value in out.items()])
"""
    outputs = []
    for seed in ("0", "1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        run = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, cwd=ROOT
        )
        outputs.append(run.stdout)
    assert "semseg" in outputs[0] and len(set(outputs)) == 1


@pytest.mark.parametrize(
    "order, message",
    [
        ({"edges": ["a", "b"]}, r"source_order names 'edges', which is none of the tasks \['a', 'b', 'c'\]"),
        ({"a": ["b"]}, r"source_order of 'a' must hold each of \['b', 'c'\] once, got \['b'\]"),
        ({"a": ["b", "b"]}, r"got \['b', 'b'\]"),
        ({"a": ["a", "b"]}, r"got \['a', 'b'\]"),
    ],
)
def test_impossible_orders_are_refused(order, message):
    with pytest.raises(ValueError, match=message):
        source_orders(("a", "b", "c"), order)


def test_an_exchange_needs_two_tasks():
    with pytest.raises(ValueError, match="two tasks or more"):
        ExchangeBlock(tasks=("a",), channels=2, downscale=1, design=ExchangeDesign())
