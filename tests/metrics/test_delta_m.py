"""delta_m against hand-computed gains."""

import pytest

from metrics.delta import delta_m

LOWER_IS_BETTER = {"semseg": False, "depth": True, "normals": True, "edges": False}


def test_by_hand():
    scores = {"semseg": 83.6, "depth": 13.5, "normals": 11.0, "edges": 12}
    baselines = {"semseg": 76, "depth": 15, "normals": 10, "edges": 10}
    # +10 % mIoU, 10 % less rmse, 10 % more angle, +20 % F1.
    assert delta_m(scores, baselines, LOWER_IS_BETTER) == pytest.approx((10 + 10 - 10 + 20) / 4)


def test_unmeasured_task_gives_none():
    assert delta_m({"semseg": None, "depth": 5.0}, {"semseg": 78, "depth": 5.0}, LOWER_IS_BETTER) is None


def test_baselines_of_other_tasks_are_ignored():
    assert delta_m({"depth": 5.0}, {"semseg": 78, "depth": 10.0}, LOWER_IS_BETTER) == pytest.approx(50)
