import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.experiment import dataset_use, open_dataset
from dataset.loader import eval_loader
from tests.helpers.runs import ROOT
from training import trivial
from utils.config.load import load_experiment


@pytest.fixture
def experiment(demo_nyudv2, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "NYUDV2_DIR": str(demo_nyudv2), "LOG_DIR": str(tmp_path)})
    monkeypatch.chdir(ROOT)
    return load_experiment(
        Path("configs/demo/resnet18_ours_SDNE.yml"),
        base=Path("configs/demo/fs_bs4.yml"),
        overrides=["training.n_workers=0"],
    )


@pytest.fixture
def samples(experiment):
    config = experiment.config
    splits = {}
    for split in ("train", "val"):
        dataset = open_dataset(experiment, dataset_use(config, config.data.source, split=split, training=False))
        splits[split] = next(iter(eval_loader(dataset, batch_size=100, workers=0)))
    return splits


def test_answers_are_majority_median_and_mean_of_the_training_images(experiment, samples):
    evaluation = trivial.evaluate_trivial(experiment)
    train, val = samples["train"], samples["val"]
    labels = train["semseg"][train["semseg"] < 40]
    majority = labels.bincount().argmax()
    known = val["semseg"] < 40
    accuracy = (val["semseg"][known] == majority).float().mean()
    assert evaluation.metrics["semseg_0"]["Acc"] == pytest.approx(float(accuracy), rel=1e-6)

    median = np.median(train["depth"][train["depth_mask"]].numpy())
    rmse = torch.stack([((d[m] - median) ** 2).mean() for d, m in zip(val["depth"], val["depth_mask"], strict=True)])
    assert evaluation.metrics["depth_0"]["rmse"] == pytest.approx(float(rmse.mean().sqrt()), rel=0.01)

    mean = torch.nn.functional.normalize((train["normals"] * train["normals_mask"]).sum((0, 2, 3)), dim=0)
    cosine = (val["normals"] * mean.view(1, 3, 1, 1)).sum(1, keepdim=True)[val["normals_mask"]]
    angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean()
    assert evaluation.metrics["normals_0"]["mean"] == pytest.approx(float(angle), rel=0.01)

    assert evaluation.metrics["edges_0"]["F1_edge"] == 0


def test_the_command_prints_a_table(experiment, monkeypatch, capsys):
    words = ["--config", "configs/demo/resnet18_ours_SDNE.yml", "--base", "configs/demo/fs_bs4.yml"]
    monkeypatch.setattr(sys, "argv", ["trivial", *words])
    assert trivial.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["semseg"] * 2 + ["depth"] * 2 + ["normals"] * 2 + ["edges"]
