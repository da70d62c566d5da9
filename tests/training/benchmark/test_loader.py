"""The loader benchmark: what it times against what loading does, and what it tells."""

from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.build import DatasetUse, build_dataset
from tests.helpers.dataset_files import config
from tests.helpers.runs import few_threads, small_experiment
from training.benchmark.loader import decode_sample, loader

SDNE = ("semseg", "depth", "normals", "edges")
CLASSES = {"cityscapes": 19, "synthia": 16, "vkitti2": 14, "nyudv2": 40}
VIDEO = {"load_sequences": True, "frame_ids": [0, -1, 1]}


@pytest.fixture
def opened(monkeypatch):
    """Counts the files that are decoded, by name."""
    counts = Counter()
    for owner, name in ((cv2, "imread"), (Image, "open"), (np, "load")):
        original = getattr(owner, name)

        def counted(path, *arguments, original=original, **options):
            counts[str(path)] += 1
            return original(path, *arguments, **options)

        monkeypatch.setattr(owner, name, counted)
    return counts


@pytest.mark.parametrize(
    ("name", "options"),
    [("cityscapes", {}), ("cityscapes", VIDEO), ("cityscapes", {"load_semantic_gt": False}), ("synthia", {}),
     ("vkitti2", {}), ("nyudv2", {})],
)  # fmt: skip
def test_decoding_opens_the_very_files_of_the_sample(name, options, request, opened):
    cfg = config(name, request.getfixturevalue(f"demo_{name}"), CLASSES[name], (64, 32), **options)
    tasks = SDNE if name == "nyudv2" else SDNE[:2]
    dataset = build_dataset(DatasetUse(cfg=cfg, split="train", tasks=tasks, training=True), seed=0)
    opened.clear()
    decode_sample(dataset.source, 1)
    decoded = dict(opened)
    opened.clear()
    dataset[1]
    assert decoded == opened and set(opened.values()) == {1}
    assert len(opened) == 1 + 2 * ("load_sequences" in options) + len(tasks) - ("load_semantic_gt" in options)


@pytest.mark.parametrize("workers", [0, 1])
def test_figures_agree_with_one_another(workers, demo_nyudv2, monkeypatch):
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))
    experiment = small_experiment("evaluate", training__logdir="none")
    with few_threads():
        figures = loader(experiment, samples=5, repeats=3, workers=workers)
    expected = {
        "benchmark": "loader", "config": experiment.name, "dataset": "nyudv2", "maps": list(SDNE), "batch": 2,
        "stored_size": [96, 128], "size": [64, 64], "samples": 4, "repeats": 3,
    }  # fmt: skip
    assert expected.items() <= figures.items()
    assert figures["decode_seconds"] > 0 and figures["ratio"] > 0
    assert figures["samples_per_second"] == pytest.approx(1 / figures["load_seconds"], rel=0.01)
    assert ("images_per_second" in figures) == bool(workers) and figures.get("images_per_second", 1) > 0
