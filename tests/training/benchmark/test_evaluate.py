"""The benchmark of validation: both sides do the same work, and what it prints follows from what it measured."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from models.build import build_model
from tests.helpers.model_setups import narrow_setup
from tests.helpers.runs import few_threads, small_experiment
from training.benchmark import evaluate as benchmark_evaluate
from training.benchmark.evaluate import evaluate, plain_loop
from training.benchmark.noise_data import noise_datasets
from training.benchmark.textbook import textbook
from training.build import build_evaluator
from training.distributed import Processes
from training.evaluate import Evaluator

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "setup",
    [
        narrow_setup(batch_norm=True),
        narrow_setup(["semseg", "disp"], is_regression=True, aspp_pooling=False, use_skips=False),
        narrow_setup(kwargs={"ablation": ["SxTAM"]}),
    ],
    ids=["all", "regression", "attention alone"],
)
def test_the_textbook_form_is_the_same_function(setup):
    network = build_model(setup, pretrained=False).double().eval()
    for name, parameter in network.named_parameters():
        if name.endswith("alpha"):
            nn.init.normal_(parameter)
    reference = textbook(network)
    changed = {type(module).__name__ for module in reference.modules() if type(module).__name__.startswith("Textbook")}
    assert {"TextbookMergeBlock", "TextbookASPP", "TextbookDirectionFeature"} <= changed
    assert ("TextbookSigmoidPrediction" in changed) == ("disp" in setup.tasks)
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    expected = network(image)
    for task, scales in reference(image).items():
        for scale, value in scales.items():
            assert value.std() > 0
            torch.testing.assert_close(value, expected[task][scale])
    assert not any(type(module).__name__.startswith("Textbook") for module in network.modules())


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.delenv("NYUDV2_DIR", raising=False)
    return small_experiment("predict", data__valid_bs=2)


def test_the_plain_loop_measures_what_the_evaluator_measures(experiment):
    network = build_model(experiment.config.setup, pretrained=False)
    dataset = noise_datasets(experiment.config).validation
    evaluator = build_evaluator(experiment, network, CPU, Processes(), dataset=dataset)
    evaluator.options = replace(evaluator.options, limit=3)
    with few_threads():
        losses, figures = plain_loop(evaluator, textbook(network))
        evaluation = evaluator.run()
    assert evaluation.n_images == 3
    assert losses == pytest.approx(evaluation.losses, rel=1e-4)
    assert figures.keys() == evaluation.metrics.keys()
    for output, scores in evaluation.metrics.items():
        numbers = {name: score for name, score in scores.items() if name != "IoU"}
        given = {name: score for name, score in figures[output].items() if name != "IoU"}
        assert given == pytest.approx(numbers, rel=1e-3, abs=1e-3), output


# Seconds that the runs take, in the order of the benchmark: plain, ours, form, channels_last, folding, workers.
REPEATS = [(6, 2, 6, 3, 4, 12), (6, 1, 6, 3, 4, 12), (99, 9, 6, 3, 4, 12)]


def test_speeds_and_ratios_follow_from_medians(experiment, monkeypatch):
    def clock():
        now = 0
        for seconds in (seconds for repeat in REPEATS for seconds in repeat):
            yield now
            now += seconds
            yield now

    readings = clock()
    monkeypatch.setattr(benchmark_evaluate, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    limits = []
    monkeypatch.setattr(Evaluator, "run", lambda self: limits.append(("ours", self.options.limit)))
    monkeypatch.setattr(
        benchmark_evaluate, "plain_loop", lambda evaluator, *_, **__: limits.append(("plain", evaluator.options.limit))
    )
    figures = evaluate(experiment, CPU, images=3, repeats=3)
    # Every run once with one batch to warm up, then with the images asked for.
    assert limits[:6] == [("plain", 2), ("ours", 2)] + 4 * [("plain", 2)]
    assert limits[6:] == 3 * ([("plain", 3), ("ours", 3)] + 4 * [("plain", 3)])
    assert figures["size"] == [64, 64] and figures["batch"] == 2 and figures["images"] == 3
    assert figures["plain_images_per_second"] == 0.5 and figures["images_per_second"] == 1.5 and figures["ratio"] == 3
    assert figures["ratios"] == {"form": 1, "channels_last": 2, "folding": 1.5, "workers": 0.5}
