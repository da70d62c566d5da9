import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from models.attention import ExchangeDesign
from models.exchange import TaskExchange, exchange_block
from models.network import Exchange

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = 2


def make(tasks: Sequence[str], **options) -> Exchange:
    return exchange_block(tasks=tasks, channels=CHANNELS, downscale=1, design=ExchangeDesign(), **options).eval()


class Constant(nn.Module):
    """A direction feature of one number, whatever it is given."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, own, source):
        return torch.full_like(own, self.value)


def task_exchange(combine: str) -> TaskExchange:
    """Two sources whose features are 10 and 100, fused by the first channels as they are."""
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
    block = make(("semseg", "depth", "normals", "edges"), source_order={"normals": ["edges", "semseg", "depth"]})
    assert {target: list(exchange.directions) for target, exchange in block.items()} == {
        "semseg": ["depth", "normals", "edges"],
        "depth": ["semseg", "normals", "edges"],
        "normals": ["edges", "semseg", "depth"],
        "edges": ["semseg", "depth", "normals"],
    }


def test_source_order_permutes_the_channels_of_the_fusion():
    declared, turned = make("abc"), make("abc", source_order={"a": ["c", "b"]})
    turned.load_state_dict(declared.state_dict())
    features = {task: torch.randn(1, CHANNELS, 4, 4) for task in "abc"}
    assert not torch.allclose(turned(features)["a"], declared(features)["a"])
    assert torch.equal(turned(features)["b"], declared(features)["b"])

    first, second = declared["a"].fuse.conv.weight.data.split(CHANNELS, dim=1)
    turned["a"].fuse.conv.weight.data = torch.cat([second, first], dim=1)
    torch.testing.assert_close(turned(features)["a"], declared(features)["a"])


def test_all_targets_see_the_features_as_they_came():
    block = make("ab")
    features = {task: torch.randn(1, CHANNELS, 4, 4) for task in "ab"}
    before = {task: feature.clone() for task, feature in features.items()}
    out = block(features)
    for target, source in (("a", "b"), ("b", "a")):
        fused = block[target].fuse(block[target].directions[source](before[target], before[source]))
        torch.testing.assert_close(out[target], before[target] + fused)
        assert torch.equal(features[target], before[target])


def test_outputs_do_not_depend_on_the_hash_seed():
    script = """
import torch
from models.attention import ExchangeDesign
from models.exchange import exchange_block
torch.manual_seed(0)
block = exchange_block(tasks=("semseg", "depth", "normals", "edges"), channels=2, downscale=1, design=ExchangeDesign())
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
