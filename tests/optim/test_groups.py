import pytest
import torch
from torch import nn

from models.network import MultiTaskNetwork
from optim.groups import parameter_groups
from utils.errors import UserError


class Network(MultiTaskNetwork):
    """The parts every network here has, one layer each."""

    def __init__(self) -> None:
        heads = {task: nn.Linear(1, 1) for task in ("semseg", "depth", "dep")}
        for head in heads.values():
            head.active_scales = (0,)
        exchanges = {
            stage: nn.ModuleDict({"semseg": nn.Linear(1, 1), "depth": nn.Linear(1, 1)}) for stage in ("0", "1")
        }
        backbone = nn.ModuleDict({"conv1": nn.Linear(1, 1), "layer4": nn.Linear(1, 1)})
        super().__init__(backbone=backbone, heads=heads, exchanges=exchanges)

    def decode(self, features, size):
        raise NotImplementedError


class VideoNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = Network()
        self.pose_net = nn.Linear(1, 1)
        self.tasks, self.task_parameters = self.main.tasks, self.main.task_parameters


def grouped_names(model: nn.Module, groups: list[dict]) -> dict[str, list[str]]:
    """Parameter names without their last part, each once, by group."""
    names = {id(parameter): name.rpartition(".")[0] for name, parameter in model.named_parameters()}
    return {group["name"]: list(dict.fromkeys(names[id(p)] for p in group["params"])) for group in groups}


def test_each_parameter_gets_the_rate_of_the_longest_key():
    lr = {"default": 1.0, "backbone": 0.1, "backbone.layer4": 0.2, "heads.depth": 3.0, "params.depth": 2.0}
    model = Network()
    groups = parameter_groups(model, lr)
    assert {group["name"]: group["lr"] for group in groups} == lr
    assert grouped_names(model, groups) == {
        "default": ["heads.semseg", "heads.dep", "exchanges.0.semseg", "exchanges.1.semseg"],
        "backbone": ["backbone.conv1"],
        "backbone.layer4": ["backbone.layer4"],
        "heads.depth": ["heads.depth"],
        "params.depth": ["exchanges.0.depth", "exchanges.1.depth"],
    }
    parameters = [id(p) for group in groups for p in group["params"]]
    assert sorted(parameters) == sorted(id(p) for p in model.parameters())


def test_the_order_of_the_keys_does_not_matter_for_who_wins():
    model = Network()
    lr = {"params.semseg": 2.0, "heads": 3.0, "heads.semseg": 4.0, "default": 1.0}
    forward = grouped_names(model, parameter_groups(model, lr))
    backward = grouped_names(model, parameter_groups(model, dict(reversed(lr.items()))))
    assert forward == backward
    assert forward["heads"] == ["heads.depth", "heads.dep"]
    assert forward["heads.semseg"] == ["heads.semseg"]


def test_published_video_names_lose_their_prefixes():
    model = VideoNetwork()
    groups = parameter_groups(model, {"default": 5e-5, "main.backbone": 1e-5, "monodepth.pose_net": 1e-6})
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("default", 5e-5),
        ("backbone", 1e-5),
        ("pose_net", 1e-6),
    ]
    names = grouped_names(model, groups)
    assert names["backbone"] == ["main.backbone.conv1", "main.backbone.layer4"]
    assert names["pose_net"] == ["pose_net"]


def test_frozen_parameters_and_groups_without_any_are_left_out():
    model = Network()
    model.backbone.requires_grad_(False)
    model.heads["depth"].weight.requires_grad_(False)
    groups = parameter_groups(model, {"default": 1.0, "backbone": 0.1, "heads.depth": 2.0})
    assert [(group["name"], len(group["params"])) for group in groups] == [("default", 12), ("heads.depth", 1)]


def test_a_shared_parameter_is_in_one_group_only():
    model = Network()
    model.heads["dep"].weight = model.heads["depth"].weight
    groups = parameter_groups(model, {"default": 1.0, "heads.dep": 2.0})
    parameters = [id(p) for group in groups for p in group["params"]]
    assert len(parameters) == len(set(parameters))
    torch.optim.SGD(groups)  # refuses a parameter in two groups


@pytest.mark.parametrize("key", ["heads.semsge", "params.normals", "main.backbon", "pose_net", "back", "params"])
def test_a_key_that_names_nothing_is_an_error(key: str):
    with pytest.raises(UserError, match=rf"setup\.lr\.{key}: "):
        parameter_groups(Network(), {"default": 1.0, key: 1.0})
