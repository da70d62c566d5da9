"""A step on two processes beside the same step on one: fully supervised, depth from video, domain adaptation.

In evaluation mode, so that batch norm takes its statistics from nowhere, dropout is off and discriminators do not flip.
Every process has two samples, the first the same on both. It has the largest error and the extremes of depth, which
berHu and the map of depth take from the batch. The second process's other sample mirrors that of the first: not the
same, but with as many labelled pixels, so that the mean of two means is the mean of all.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.utils.data import default_collate

import loss.photometric
from models.discriminator import Discriminator
from tests.helpers.process_groups import narrow, run_group
from tests.helpers.runs import DEMO, ROOT, dotted
from training.build import build_strategy
from training.distributed import Processes, join_processes
from training.strategy import Strategy
from utils.config.load import load_experiment
from utils.constants import IGNORE_INDEX

CPU = torch.device("cpu")
ADAPTATION = ("--base", "configs/demo/da/fs_bs4.yml", "--config", "configs/demo/da/resnet18_ours_SD.yml")
VIDEO = ("--config", "configs/demo/monodepth/resnet18_ours_SD.yml")
SETTINGS = {"supervised": DEMO, "video": VIDEO, "adaptation": ADAPTATION}
SIZES = {name: ("data",) for name in ("supervised", "video")} | {"adaptation": ("data.source", "data.target")}
COMMON, MIRRORED = 0, 1  # indices of samples
TASKS = {
    "supervised": ("semseg", "depth", "normals", "edges"),
    "video": ("semseg", "disp"),
    "adaptation": ("semseg", "depth"),
}

Sample = dict[str, Any]
Gradients = dict[str, torch.Tensor | None]


def build(name: str, processes: Processes) -> Strategy:
    """The demo's strategy at 64x64, with first weights that depend on the process."""
    files = dict(zip(SETTINGS[name][::2], SETTINGS[name][1::2], strict=True))
    overrides = [f"{section}.{side}=64" for section in SIZES[name] for side in ("width", "height")]
    overrides += [f"{key}={value}" for key, value in dotted(narrow(*TASKS[name])).items()]
    overrides += ["optim={name: SGD}", "data.augmentations.random_horizontal_flip=0"]
    overrides += ["training.da.doda=1"] if name == "adaptation" else []
    base = ROOT / files["--base"] if "--base" in files else None
    experiment = load_experiment(ROOT / files["--config"], base=base, overrides=overrides)
    torch.manual_seed(processes.rank)
    strategy, _ = build_strategy(experiment, CPU, processes, resumes=False)
    for network in strategy.networks.values():
        if isinstance(network, Discriminator):
            # Surer than at first, when the gradients of both domains cancel but for rounding.
            torch.nn.init.constant_(network.net[-1].bias, 2.0)
    return strategy


def samples(strategy: Strategy) -> dict[str, list[Sample]]:
    """Of every stream the common sample, one, and its mirror image."""
    found = {}
    for stream, dataset in strategy.datasets.items():
        common, one = dict(dataset[COMMON]), dict(dataset[MIRRORED])
        if "depth" in common:
            common["depth"][0, 5, 5:7] = torch.tensor([0.3, 700.0])  # nearer and farther than all else
            common["depth_mask"][0, 5, 5:7] = True
        mirror = {
            name: value.flip(-1) if isinstance(value, torch.Tensor) and name != "intrinsics" else value
            for name, value in one.items()
        }
        found[stream] = [common, one, mirror]
    return found


def batches(found: dict[str, list[Sample]], *chosen: int) -> dict[str, dict]:
    """A batch of the chosen samples of every stream."""
    return {stream: default_collate([of_stream[i] for i in chosen]) for stream, of_stream in found.items()}


def step(strategy: Strategy, *parts: dict[str, dict]) -> dict[str, float]:
    """The gradients of one step that accumulates all parts; gives the mean losses."""
    for network in strategy.networks.values():
        network.eval()
        network.zero_grad(set_to_none=True)
    losses = [strategy.backward(part, step=1, share=1 / len(parts)) for part in parts]
    return {name: sum(float(one[name]) for one in losses) / len(parts) for name in losses[0]}


def gradients(strategy: Strategy) -> Gradients:
    return {
        f"{network}.{name}": parameter.grad
        for network, module in strategy.networks.items()
        for name, parameter in module.named_parameters()
    }


def weights(strategy: Strategy) -> dict[str, torch.Tensor]:
    return {
        f"{network}.{name}": value.clone()
        for network, module in strategy.networks.items()
        for name, value in module.state_dict().items()
    }


def short_of_labels(batch: dict[str, dict]) -> dict[str, dict]:
    """The batch with most of its second sample's labels gone."""
    semseg = batch["source"]["semseg"].clone()
    semseg[1, 8:] = IGNORE_INDEX
    return {**batch, "source": {**batch["source"], "semseg": semseg}}


def digest(tensors: Gradients) -> str:
    """What two processes have in common only if their tensors are equal to the last bit."""
    found = hashlib.sha256()
    for name, value in tensors.items():
        found.update(name.encode() + (b"" if value is None else value.contiguous().numpy().tobytes()))
    return found.hexdigest()


@dataclass
class Distance:
    """The largest difference of two processes' gradients: as a share of its network's largest element, and of its own.

    The latter is large where a gradient is a sum that nearly cancels.
    """

    of_network: float
    of_own: float


def distance(found: Gradients, expected: Gradients) -> Distance:
    assert [(key, g is None) for key, g in found.items()] == [(key, g is None) for key, g in expected.items()]
    scales: dict[str, float] = {}
    apart: list[tuple[str, float, float]] = []  # network, difference, largest element
    for key, g in expected.items():
        if g is not None:
            network, largest = key.partition(".")[0], float(g.abs().max())
            scales[network] = max(scales.get(network, 0.0), largest)
            apart.append((network, float((found[key] - g).abs().max()), largest))
    return Distance(
        of_network=max(difference / scales[network] for network, difference, _ in apart),
        of_own=max(difference / max(largest, 1e-30) for _, difference, largest in apart),
    )


@dataclass
class Found:
    """What one process of the group finds of one strategy; `distances` on the main one only."""

    first_weights: str
    losses: dict[str, float]
    own_gradients: str
    gradients: str
    updated: str
    kinds: set[str]
    losses_of_all: dict[str, float] = field(default_factory=dict)
    distances: dict[str, Distance] = field(default_factory=dict)


def of_one_process(processes: Processes, name: str) -> Found:
    strategy = build(name, processes)
    first = weights(strategy)
    found = samples(strategy)
    own = batches(found, 0, 1 + processes.rank)

    def averaged() -> Gradients:
        processes.average_gradients(p for network in strategy.networks.values() for p in network.parameters())
        return {key: None if g is None else g.clone() for key, g in gradients(strategy).items()}

    losses, of_own = step(strategy, own), digest(gradients(strategy))
    together, unequal = averaged(), None
    if name == "supervised":
        step(strategy, short_of_labels(own) if processes.rank == 1 else own)
        unequal = averaged()
    result = Found(digest(first), losses, of_own, digest(together), "", kinds(first))
    if processes.is_main:
        result.losses_of_all = step(strategy, batches(found, 0, 1, 0, 2))
        result.distances["doubled batch"] = distance(together, gradients(strategy))
    if processes.is_main and unequal is not None:
        both = [own, short_of_labels(batches(found, 0, 2))]
        step(strategy, *both)
        result.distances["accumulated"] = distance(unequal, gradients(strategy))
        step(strategy, joined(both))
        result.distances["all pixels"] = distance(unequal, gradients(strategy))
    strategy.update()  # of whatever each process computed last
    result.updated = digest(weights(strategy))
    assert result.updated != result.first_weights
    return result


def kinds(tensors: Gradients) -> set[str]:
    """Names, whole and the last part."""
    return {key.split(".")[-1] for key in tensors} | set(tensors)


def joined(parts: list[dict[str, dict]]) -> dict[str, dict]:
    """One batch of several, of the source alone."""
    source = [part["source"] for part in parts]
    return {"source": {key: torch.cat([one[key] for one in source]) for key in source[0] if key != "filename"}}


def all_of_one_process(join: Callable[[], None], environment: dict[str, str]) -> dict[str, Found]:
    join()
    processes = join_processes()
    # The random numbers that the photometric loss adds against ties are each process's own.
    with patch.dict(os.environ, environment), patch.object(loss.photometric, "TIE_NOISE", 0.0):
        found = {name: of_one_process(processes, name) for name in SETTINGS}
    processes.close()
    return found


@pytest.fixture(scope="module")
def pair(demo_nyudv2, demo_cityscapes, demo_synthia, tmp_path_factory) -> list[dict[str, Found]]:
    """What both processes found."""
    folders = {"NYUDV2_DIR": demo_nyudv2, "CITYSCAPES_DIR": demo_cityscapes, "SYNTHIA_DIR": demo_synthia}
    folders["LOG_DIR"] = tmp_path_factory.mktemp("logs")
    return run_group(all_of_one_process, {name: str(folder) for name, folder in folders.items()})


PARTS = {
    "supervised": {"running_mean", "model.heads.edges.predictions.0.bias"},
    "video": {"running_var", "model.pose_net.encoder.conv1.weight"},
    "adaptation": {"_u", "_v", "discriminator_depth_0.net.0.bias"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_all_begin_and_go_on_with_the_same_weights(pair, name):
    first, second = (one[name] for one in pair)
    assert PARTS[name] <= first.kinds  # the digest covers buffers, the pose network, the discriminators
    assert first.first_weights == second.first_weights
    assert first.gradients == second.gradients and first.updated == second.updated


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_and_losses_are_those_of_the_doubled_batch(pair, name):
    first, second = (one[name] for one in pair)
    for loss_name, value in first.losses_of_all.items():
        assert (first.losses[loss_name] + second.losses[loss_name]) / 2 == pytest.approx(value, rel=1e-5), loss_name
    assert first.own_gradients != second.own_gradients  # of different images
    assert first.distances["doubled batch"].of_network < 1e-5
    assert first.distances["doubled batch"].of_own < 1e-3


def test_each_process_has_its_own_mean_as_each_accumulated_batch_has(pair):
    """Where processes have unequal numbers of labelled pixels, theirs is not the mean over all pixels."""
    distances = pair[0]["supervised"].distances
    assert distances["accumulated"].of_network < 1e-5 and distances["accumulated"].of_own < 1e-3
    assert distances["all pixels"].of_network > 1e-3
