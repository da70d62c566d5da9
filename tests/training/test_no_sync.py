"""Nothing in a training step or in measuring a batch makes the host wait for the device."""

import pytest
import torch

from tests.helpers.forbid_sync import ForbidSync
from tests.helpers.runs import ROOT, few_threads, tiny
from training.build import build_strategy
from training.distributed import Processes
from training.strategy import to_device
from utils.config.load import load_experiment
from utils.geometry import resize

CPU = torch.device("cpu")
DATASETS = ("cityscapes", "synthia", "vkitti2", "nyudv2")
# base, experiment
SUPERVISED = ("demo/fs_bs4.yml", "demo/resnet18_ours_SDNE.yml")
NORMALS_FROM_DEPTH = ("cityscapes/fs_bs2.yml", "cityscapes/resnet101_ours_SDN.yml")
VIDEO = (None, "cityscapes/monodepth/resnet101_ours_SD.yml")
ADAPTATION = ("da/sy2cs/fs_bs2.yml", "da/sy2cs/resnet101_ours_SDN.yml")


@pytest.fixture(autouse=True)
def _environment(request, monkeypatch, tmp_path):
    for dataset in DATASETS:
        monkeypatch.setenv(f"{dataset.upper()}_DIR", str(request.getfixturevalue(f"demo_{dataset}")))
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    with few_threads():
        yield


def build(base: str | None, config: str, *overrides: str):
    """A small experiment with its strategy and evaluator."""
    config_file, base_file = ROOT / "configs" / config, base and ROOT / "configs" / base
    small = [f"{key}={value}" for key, value in tiny(config_file, base_file).items()]
    experiment = load_experiment(
        config_file,
        base=base_file,
        overrides=[*small, *overrides],
        env_config=ROOT / "configs" / "env_config.yml",
    )
    return experiment, *build_strategy(experiment, CPU, Processes(), resumes=False)


def on_device(dataset, first: int):
    """A batch of two samples."""
    samples = [dataset[index] for index in (first, first + 1)]
    return to_device(torch.utils.data.default_collate(samples), CPU, channels_last=True)


@pytest.mark.parametrize(
    ("files", "overrides"),
    [
        (SUPERVISED, ()),
        (SUPERVISED, ("optim={name: SGD, clip_grad_norm: 1, kwargs: {momentum: 0.9, weight_decay: 5e-4}}",)),
        (SUPERVISED, ("training.accumulate=2", "training.use_amp=True", "scheduler.name=poly")),
        (NORMALS_FROM_DEPTH, ()),
        (VIDEO, ()),
        (ADAPTATION, ()),
    ],
    ids=["supervised", "SGD", "bfloat16", "normals_from_depth", "video_depth", "adaptation"],
)
def test_a_step_never_waits(files, overrides):
    experiment, strategy, _ = build(*files, *overrides)
    training = experiment.config.training
    # Loading happens on the host; what is loaded is on its way to the device when the step begins.
    batches = [
        {name: on_device(dataset, 2 * n) for name, dataset in strategy.datasets.items()}
        for n in range(training.accumulate)
    ]
    strategy.train()
    before = [parameter.detach().clone() for parameter in strategy.model.parameters()]
    with ForbidSync():
        for step in (1, 2):
            for batch in batches:
                losses = strategy.backward(batch, step=step, share=1 / training.accumulate)
            strategy.update()
    assert all(torch.isfinite(value) for value in losses.values())
    assert any(not torch.equal(a, b) for a, b in zip(before, strategy.model.parameters(), strict=True))


@pytest.mark.parametrize(
    "files",
    [SUPERVISED, NORMALS_FROM_DEPTH, VIDEO, ADAPTATION],
    ids=["supervised", "normals_from_depth", "video_depth", "adaptation"],
)
def test_measuring_a_batch_never_waits(files):
    _, strategy, evaluator = build(*files)
    batch = on_device(evaluator.dataset, 0)
    size = tuple(batch["image"].shape[-2:])
    strategy.model.eval()
    with torch.inference_mode(), ForbidSync():
        predictions = strategy.model(batch["image"])
        losses = evaluator.loss(predictions, batch)
        for measure in evaluator.measures.values():
            task = evaluator.tasks[measure.task]
            decoded = task.decode(resize(predictions[measure.task][measure.scale], size))
            measure.metric.update(decoded, *task.truth(batch))
    assert all(torch.isfinite(value) for value in losses.values())
    scores = [measure.metric.compute() for measure in evaluator.measures.values()]
    assert all(value is not None for figures in scores for name, value in figures.items() if name != "IoU")


def test_the_guard_notices():
    values = torch.arange(3.0)
    for waits in (values[0].item, values.nonzero, lambda: values[values > 1], lambda: bool(values[0] > 1)):
        with pytest.raises(AssertionError, match="waits for the device"), ForbidSync():
            waits()
