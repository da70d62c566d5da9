"""The photometric loss that a config asks for, and what a config cannot ask for."""

import pytest

from loss.build_video import build_photometric
from utils.config.schema import LossConfig
from utils.errors import UserError


def section(**kwargs: object) -> LossConfig:
    disp = {"name": "ssde", "scales": [0, 2], "weight": [1.0, 0.5], "kwargs": kwargs}
    return LossConfig.model_validate({"tasks": {"semseg": {"name": "cross_entropy"}, "disp": disp}})


def test_build_passes_on_what_the_config_says():
    kwargs = {"min_depth": 0.5, "max_depth": 60.0, "disparity_smoothness": 0.01, "no_ssim": True}
    more = {"avg_reprojection": True, "disable_automasking": True, "frame_ids": [0, -2, 2], "batch_size": 4}

    loss = build_photometric(section(**kwargs, **more), frame_ids=[0, -2, 2, 1])

    assert loss.weights == {0: 1.0, 2: 0.5} and loss.offsets == (-2, 2)
    assert (loss.min_depth, loss.max_depth, loss.smoothness) == (0.5, 60.0, 0.01)
    assert (loss.use_ssim, loss.average, loss.automask) == (False, True, False)


def test_build_defaults_to_the_paper_and_the_frames_of_the_data():
    loss = build_photometric(section(), frame_ids=[0, -1, 1])

    assert loss.offsets == (-1, 1)
    assert (loss.min_depth, loss.max_depth, loss.smoothness) == (0.1, 100.0, 1e-3)
    assert (loss.use_ssim, loss.average, loss.automask) == (True, False, True)


@pytest.mark.parametrize(("wanted", "loaded"), [([0, 3], [0, -1, 1]), (None, [0])])
def test_build_needs_neighbours_that_are_loaded(wanted: list[int] | None, loaded: list[int]):
    config = section(frame_ids=wanted) if wanted else section()

    with pytest.raises(UserError, match=r"loss\.tasks\.disp\.kwargs\.frame_ids: .* data\.frame_ids"):
        build_photometric(config, frame_ids=loaded)


def test_build_needs_the_photometric_task():
    config = LossConfig.model_validate({"tasks": {"semseg": {"name": "cross_entropy"}}})

    with pytest.raises(UserError, match=r"exactly one task with the loss 'ssde', got \[\]"):
        build_photometric(config, frame_ids=[0, 1])
