"""Which file a path given as weights means."""

import re

import pytest

from training.run_folder import find_weights
from utils.errors import UserError


@pytest.mark.parametrize(
    ("held", "meant"),
    [
        (["best_model.pkl", "model_7.pkl"], "best_model.pkl"),
        (["model_900.pkl", "model_1000.pkl", "model_x.pkl", "resume.pkl"], "model_1000.pkl"),
    ],
)
def test_a_folder_means_its_best_weights_or_its_last(tmp_path, held, meant):
    for name in held:
        (tmp_path / name).touch()
    assert find_weights(tmp_path) == tmp_path / meant == find_weights(tmp_path / meant)


def test_a_folder_without_weights_says_what_it_holds(tmp_path):
    (tmp_path / "resume.pkl").touch()
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))}: .*best_model\.pkl.*it holds resume\.pkl\."):
        find_weights(tmp_path)


def test_what_is_not_there_is_looked_for_under_models(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best_model.pkl").touch()
    monkeypatch.setenv("MODELS", str(tmp_path))
    (given := tmp_path / "here").mkdir()
    monkeypatch.chdir(given)
    path = type(tmp_path)("run")
    assert find_weights(path) == tmp_path / "run" / "best_model.pkl"
    with pytest.raises(UserError, match=f"no weights file at x.pkl, {re.escape(str(tmp_path))}/x.pkl$"):
        find_weights(path.with_name("x.pkl"))
    monkeypatch.delenv("MODELS")
    with pytest.raises(UserError, match=r"no weights file at run; \$MODELS.* is not set"):
        find_weights(path)
