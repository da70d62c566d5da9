"""The benchmark of validation: both sides do the same work, and what it prints follows from what it measured."""

import pytest
import torch

from models.build import build_model
from tests.helpers.model_setups import narrow_setup
from tests.helpers.runs import few_threads, small_experiment
from training.benchmark.evaluate import evaluate, plain_loop
from training.benchmark.noise_data import noise_datasets
from training.benchmark.textbook import TextbookMergeBlock, textbook
from training.build import build_evaluator
from training.distributed import Processes

CPU = torch.device("cpu")


@pytest.mark.parametrize("use_skips", [True, False])
def test_the_textbook_form_is_the_same_function(use_skips):
    setup = narrow_setup(use_skips=use_skips)
    network = build_model(setup, pretrained=False).double().eval()
    reference = textbook(network)
    assert any(isinstance(module, TextbookMergeBlock) for module in reference.modules())
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    expected = network(image)
    for task, scales in reference(image).items():
        for scale, value in scales.items():
            assert value.std() > 0
            torch.testing.assert_close(value, expected[task][scale])


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.delenv("NYUDV2_DIR", raising=False)
    return small_experiment("predict", data__valid_bs=2)


def test_the_plain_loop_measures_what_the_evaluator_measures(experiment):
    network = build_model(experiment.config.setup, pretrained=False)
    dataset = noise_datasets(experiment.config).validation
    evaluator = build_evaluator(experiment, CPU, Processes(), dataset=dataset)
    evaluator.limit = 3
    with few_threads():
        losses, figures = plain_loop(evaluator, textbook(network))
        evaluation = evaluator.run(network)
    assert evaluation.n_images == 3
    assert losses == pytest.approx(evaluation.losses, rel=1e-4)
    assert figures.keys() == evaluation.metrics.keys()
    for output, scores in evaluation.metrics.items():
        numbers = {name: score for name, score in scores.items() if name != "IoU"}
        given = {name: score for name, score in figures[output].items() if name != "IoU"}
        assert given == pytest.approx(numbers, rel=1e-3, abs=1e-3), output


def test_what_the_command_prints(experiment):
    with few_threads():
        figures = evaluate(experiment, CPU, images=3, repeats=1)
    assert figures["size"] == [64, 64] and figures["batch"] == 2 and figures["images"] == 3
    assert figures["ratio"] == pytest.approx(figures["images_per_second"] / figures["plain_images_per_second"], 0.02)
    assert set(figures["ratios"]) == {"form", "channels_last", "workers"}
