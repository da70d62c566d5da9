"""Tiny demo datasets, generated once a test session: the four formats as plain folders that tests may only read."""

from pathlib import Path

import pytest

from dataset.demo.generate import generate
from dataset.demo.world import World


def _generate(factory: pytest.TempPathFactory, layout: str, size: tuple[int, int], **options: object) -> Path:
    settings = {"scenes": 5, "val_scenes": 2, "frames": 2, "seed": 7} | options
    return generate(factory.mktemp("demo"), (layout,), World(size=size, **settings))[layout]


@pytest.fixture(scope="session")
def demo_nyudv2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """128x96, 6 training and 4 validation frames, the pack of PNG files."""
    return _generate(tmp_path_factory, "nyudv2", (128, 96))


@pytest.fixture(scope="session")
def demo_cityscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """128x64, 6 training and 4 validation frames, each with the video frames before and after it."""
    return _generate(tmp_path_factory, "cityscapes", (128, 64))


@pytest.fixture(scope="session")
def demo_synthia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """128x76, 10 frames, labels and depth of three channels."""
    return _generate(tmp_path_factory, "synthia", (128, 76))


@pytest.fixture(scope="session")
def demo_vkitti2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160x48, 5 scenes of 2 frames, all under one root."""
    return _generate(tmp_path_factory, "vkitti2", (160, 48))


@pytest.fixture(scope="session")
def demo_truth_cityscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256x128, 2 training scenes and 1 for validation, one annotated frame each, with exact geometry in `truth/`."""
    return _generate(tmp_path_factory, "cityscapes", (256, 128), scenes=3, val_scenes=1, frames=1, truth=True)
