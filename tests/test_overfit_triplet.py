"""Depth from one video triplet, from random weights: the whole of SDE can learn geometry that nobody shows it.

Minutes on a CPU: pytest -m slow tests/test_overfit_triplet.py -s
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dataset.build import DatasetUse, build_dataset
from dataset.demo.generate import generate
from dataset.demo.world import World
from tests.helpers.runs import ROOT, few_threads
from training.build import build_strategy
from training.distributed import Processes
from utils.config.load import Experiment, load_experiment
from utils.geometry import disparity_to_depth, resize

STEPS = 120
FAR = 80.0  # metres; beyond is the sky
OPTIONS = (
    "setup.lr={default: 3e-4, pose_net: 2e-4}",
    f"training.iterations={STEPS}",
    "setup.loss.tasks.disp.kwargs.disparity_smoothness=1e-2",
    # From random weights and one triplet, pixels that a first wrong depth explains worse than a standing camera would
    # get no gradient any more: automasking is for worlds in which things move.
    "setup.loss.tasks.disp.kwargs.disable_automasking=True",
    # One image and its mirror image pool to nearly the same pixel, over which batch norm has hardly any variance.
    "setup.model.tasks.semseg.kwargs.aspp_pooling=False",
    "setup.model.tasks.disp.kwargs.aspp_pooling=False",
)


def experiment(*overrides: str) -> Experiment:
    return load_experiment(ROOT / "configs/demo/monodepth/resnet18_ours_SD.yml", overrides=[*OPTIONS, *overrides])


def triplet_and_mirrored() -> dict[str, Tensor]:
    """The one training sample and its mirror image as a batch.

    Both, because a network that answers every triplet with the same motion, as one does at first, can then move forward
    or backward but not sideways.
    """
    samples = []
    for flip in (0, 1):
        data = experiment(f"data.augmentations.random_horizontal_flip={flip}").config.data.source
        samples += build_dataset(DatasetUse(cfg=data, split="train", tasks=("semseg",), training=True), seed=0)
    return torch.utils.data.default_collate(samples)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's: that of the ranks, hence the same for depth and inverse depth."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_triplet_teaches_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world = World(scenes=2, val_scenes=1, frames=1, size=(192, 96), truth=True, seed=1)
    root = generate(tmp_path, ("cityscapes",), world)["cityscapes"]
    monkeypatch.setenv("CITYSCAPES_DIR", str(root))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    batch = triplet_and_mirrored()
    truth = np.load(root / "truth" / "depth" / f"{Path(batch['filename'][0]).name}.npy")

    with few_threads():
        strategy, _ = build_strategy(experiment(), torch.device("cpu"), Processes(), resumes=False)
        strategy.train()
        losses = []
        for step in range(1, STEPS + 1):
            losses.append(strategy.backward({"source": batch}, step=step, share=1.0)["disp"].item())
            strategy.update()
        with torch.no_grad():
            disparity = strategy.model.eval()(batch["image"][:1])["disp"][0]
    depth = disparity_to_depth(resize(disparity, truth.shape), 0.1, 100.0)[0, 0].numpy()

    near = truth < FAR
    correlation = rank_correlation(depth[near], truth[near])
    print(f"{STEPS} steps: photometric loss {losses[0]:.4f} to {losses[-1]:.4f}, rank correlation {correlation:.3f}")
    assert losses[-1] <= losses[0] / 2
    assert correlation > 0.8
