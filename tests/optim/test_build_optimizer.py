import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from optim.build import build_optimizer
from utils.config.schema.optim import OptimConfig

CPU = torch.device("cpu")
CONFIGS = {
    "SGD": {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
    "Adam": {"betas": [0.9, 0.98], "weight_decay": 1e-2},
    "AdamW": {"betas": [0.9, 0.98], "weight_decay": 1e-2, "amsgrad": True, "eps": 1e-6},
}


def make_config(name: str) -> OptimConfig:
    return TypeAdapter(OptimConfig).validate_python({"name": name, "kwargs": CONFIGS[name]})


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"backbone": nn.Linear(5, 7), "heads": nn.Linear(7, 3)})


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model["heads"](model["backbone"](x).relu()).square().mean().backward()
        optimizer.step()


def make_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    groups = [{"name": "default", "params": model["heads"].parameters(), "lr": 0.1}]
    groups.append({"name": "backbone", "params": model["backbone"].parameters(), "lr": 0.01})
    return build_optimizer(make_config(name), groups, device=CPU)


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_equal_those_of_the_plain_loop(name: str):
    model, reference = make_model(), make_model()
    train(model, make_optimizer(name, model), range(5))
    groups = [{"params": reference["backbone"].parameters(), "lr": 0.01}, {"params": reference["heads"].parameters()}]
    plain = getattr(torch.optim, name)(groups, lr=0.1, **CONFIGS[name], foreach=False, fused=False)
    train(reference, plain, range(5))
    for ours, expected in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_groups_keep_name_and_rate_and_get_the_options():
    optimizer = make_optimizer("Adam", make_model())
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [("default", 0.1), ("backbone", 0.01)]
    assert all(tuple(group["betas"]) == (0.9, 0.98) and group["fused"] for group in optimizer.param_groups)
