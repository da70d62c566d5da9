"""The evaluator measures the network as it is at the start of each run, and leaves it as it was."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.build import build_model
from tests.helpers.runs import few_threads, small_experiment
from training.benchmark.evaluate import plain_loop
from training.benchmark.noise_data import noise_datasets
from training.build import build_evaluator
from training.distributed import Processes

CPU = torch.device("cpu")


@pytest.fixture
def evaluator():
    """Of a network whose norms have seen something, in training mode."""
    experiment = small_experiment("predict", data__valid_bs=2, training__n_workers=0)
    network = build_model(experiment.config.setup, pretrained=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    dataset = noise_datasets(experiment.config).validation
    evaluator = build_evaluator(experiment, network.train(), CPU, Processes(), dataset=dataset)
    evaluator.options = replace(evaluator.options, limit=2, n_logged=0)
    with few_threads():
        yield evaluator


def test_every_run_measures_the_weights_of_its_time(evaluator):
    network = evaluator.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = evaluator.run()
    assert network.training and all(torch.equal(network.state_dict()[name], value) for name, value in before.items())

    with torch.no_grad():
        network.backbone.bn1.bias.add_(1.0)
        network.heads["depth"].predictions["0"].bias.add_(50.0)
    second = evaluator.run()
    losses, _ = plain_loop(evaluator, network)
    assert second.losses == pytest.approx(losses, rel=1e-4)
    assert abs(first.losses["depth_0"] / second.losses["depth_0"] - 1) > 1e-3


@pytest.mark.parametrize("gives_up", [False, True])
def test_the_folded_copy_is_released(evaluator, gives_up):
    result = evaluator.run(should_stop=lambda: gives_up)
    assert (result is None) == gives_up
    assert evaluator._folded is None
