"""The evaluator measures the weights a network has at the start of each run."""

import pytest
import torch

from dataset.noise import build_noise
from models.build import build_model
from tests.helpers.runs import few_threads, small_experiment
from training.build import build_evaluator
from training.distributed import Processes


def test_every_run_measures_the_weights_of_its_time():
    experiment = small_experiment("predict", data__valid_bs=2, training__n_workers=0)
    network = build_model(experiment.config.setup, pretrained=False)
    evaluator = build_evaluator(experiment, torch.device("cpu"), Processes(), debug=True, build_data=build_noise)
    with few_threads():
        first, again = evaluator.run(network.train()), evaluator.run(network)
        with torch.no_grad():
            network.heads["depth"].predictions["0"].bias.add_(50.0)
        changed = evaluator.run(network)
        assert evaluator.run(network, should_stop=lambda: True) is None
    assert first.n_images == 2 and again.losses == first.losses
    assert changed.losses["depth_0"] != pytest.approx(first.losses["depth_0"], rel=1e-3)
