"""The evaluator measures the weights a network has at the start of each run."""

import pytest
import torch

from models.build import build_model
from tests.helpers.runs import few_threads, small_experiment
from training.benchmark.noise_data import noise_datasets
from training.build import build_evaluator
from training.distributed import Processes
from training.evaluator import Interrupted


def test_every_run_measures_the_weights_of_its_time():
    experiment = small_experiment("predict", data__valid_bs=2, training__n_workers=0)
    network = build_model(experiment.config.setup, pretrained=False)
    dataset = noise_datasets(experiment.config).validation
    evaluator = build_evaluator(experiment, torch.device("cpu"), Processes(), debug=True, dataset=dataset)
    with few_threads():
        first, again = evaluator.run(network.train()), evaluator.run(network)
        with torch.no_grad():
            network.heads["depth"].predictions["0"].bias.add_(50.0)
        changed = evaluator.run(network)
        with pytest.raises(Interrupted):
            evaluator.run(network, should_stop=lambda: True)
    assert first.n_images == 2 and again.losses == first.losses
    assert changed.losses["depth_0"] != pytest.approx(first.losses["depth_0"], rel=1e-3)


def test_references_that_are_read_otherwise_than_written_are_warned_of(caplog):
    """The published files mark edges as better lower, and give some shares as fractions."""
    references = "{baselines: {semseg: 0.78, depth: 0.9, normals: 10, edges: 10}, gammas: {semseg: 0, edges: 1}}"
    experiment = small_experiment("predict", setup__loss__kwargs=references)
    with caplog.at_level("WARNING", logger="densemtl"):
        dataset = noise_datasets(experiment.config).validation
        evaluator = build_evaluator(experiment, torch.device("cpu"), Processes(), dataset=dataset)
    assert evaluator.baselines == {"semseg": 78, "depth": 0.9, "normals": 10, "edges": 10}
    ignored, fraction = caplog.messages
    assert "gammas.edges: 1 is ignored" in ignored and "baselines.semseg: 0.78 is read as a fraction" in fraction
