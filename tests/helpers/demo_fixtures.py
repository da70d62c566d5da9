"""Tiny demo datasets, generated once a test session, and a run on them: folders that tests may only read."""

from pathlib import Path

import pytest

from dataset.demo.generate import generate
from dataset.demo.world import World
from tests.helpers.runs import arguments, train


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


@pytest.fixture(scope="session")
def world(demo_nyudv2: Path, demo_cityscapes: Path, demo_synthia: Path, demo_vkitti2: Path) -> dict[str, str]:
    """The variables that say where the datasets are."""
    roots = {"NYUDV2": demo_nyudv2, "CITYSCAPES": demo_cityscapes, "SYNTHIA": demo_synthia, "VKITTI2": demo_vkitti2}
    return {f"{name}_DIR": str(root) for name, root in roots.items()}


@pytest.fixture
def logs(world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LOG_DIR of the test; the datasets are where their variables say."""
    for variable, value in (world | {"LOG_DIR": str(tmp_path / "logs")}).items():
        monkeypatch.setenv(variable, value)
    return tmp_path / "logs"


@pytest.fixture(scope="session")
def trained(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps, fully supervised with four tasks, validated once, at its end."""
    return train(tmp_path_factory.mktemp("trained"), world, *arguments(training__iterations=2))
