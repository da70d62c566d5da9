"""delta_m against hand-computed gains."""

import logging

import pytest

from metrics.delta import baselines_in_percent, delta_m, main_score


def test_by_hand():
    scores = {"semseg": 0.836, "depth": 13.5, "normals": 11.0, "edges": 0.12}
    baselines = {"semseg": 76, "depth": 15, "normals": 10, "edges": 10}
    # +10 % mIoU, 10 % less rmse, 10 % more angle, +20 % F1.
    assert delta_m(scores, baselines) == pytest.approx((10 + 10 - 10 + 20) / 4)


def test_disparity_counts_as_depth():
    assert delta_m({"semseg": 0.78, "disp": 5.33 / 2}, {"semseg": 78, "disp": 5.33}) == pytest.approx(25)


def test_fraction_is_read_as_one_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="densemtl"):
        gain = delta_m({"semseg": 0.858, "depth": 5.33}, {"semseg": 0.78, "depth": 0.5 * 5.33})
    assert gain == pytest.approx((10 - 100) / 2)
    assert caplog.messages == ["setup.loss.kwargs.baselines.semseg: 0.78 is read as a fraction, that is 78 %"]


def test_reading_baselines_once_warns_once(caplog):
    read = baselines_in_percent({"semseg": 0.78, "edges": 10, "depth": 0.9, "normals": 0.5})
    assert read == pytest.approx({"semseg": 78, "edges": 10, "depth": 0.9, "normals": 0.5})
    caplog.clear()
    assert baselines_in_percent(read) == read and not caplog.messages


def test_unmeasured_task_gives_none():
    assert delta_m({"semseg": None, "depth": 5.0}, {"semseg": 78, "depth": 5.0}) is None


def test_baselines_of_other_tasks_are_ignored():
    assert delta_m({"depth": 5.0}, {"semseg": 78, "depth": 10.0}) == pytest.approx(50)


@pytest.mark.parametrize(
    ("scores", "baselines", "message"),
    [
        ({"semseg": 0.5, "depth": 5.0}, {"semseg": 78}, r"no baseline for \['depth'\]"),
        ({}, {"semseg": 78}, r"got scores of \[\]"),
        ({"depth": 5.0}, {"depth": 0.0}, "baseline of depth must be positive, got 0.0"),
    ],
)
def test_guards(scores, baselines, message):
    with pytest.raises(ValueError, match=message):
        delta_m(scores, baselines)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("semseg", ("mIoU", 0.5, True)),
        ("depth", ("rmse", 0.5, False)),
        ("disp", ("rmse", 0.5, False)),
        ("normals", ("mean", 0.5, False)),
        ("edges", ("F1", 0.5, True)),
    ],
)
def test_score_that_stands_for_a_task(task, expected):
    assert main_score(task, {expected[0]: 0.5, "other": 1.0}) == expected
