import json
import sys

import pytest

from training import compare


def metrics(miou, rmse):
    return {
        "semseg_0": {"mIoU": miou, "Acc": 0.5, "IoU": {"road": 1.0}},
        "semseg_1": {"mIoU": 0.9, "Acc": 0.9, "IoU": {"road": 1.0}},
        "depth_0": {"rmse": rmse, "abs_rel": 0.1},
    }


def write(path, *values):
    path.write_text(json.dumps({"metrics": metrics(*values)}))


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    return compare.main()


def test_mean_and_deviation_over_seeds_of_the_final_output(tmp_path, monkeypatch, capsys):
    write(tmp_path / "a1.json", 0.2, 4.0)
    write(tmp_path / "a2.json", 0.4, 6.0)
    write(tmp_path / "b.json", 0.5, None)
    assert run(monkeypatch, f"two={tmp_path}/a*.json", f"one={tmp_path}/b.json") == 0
    header, _, miou, _, rmse, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["better", "two", "(n=2)", "one"]
    assert miou.split() == ["semseg", "mIoU", "higher", "0.3000", "±", "0.1414", "0.5000"]
    assert rmse.split() == ["depth", "rmse", "lower", "5.0000", "±", "1.4142", "-"]


@pytest.mark.parametrize("word", ["label", "label=nowhere/*.json"])
def test_what_matches_nothing_is_the_users_error(tmp_path, monkeypatch, capsys, word):
    assert run(monkeypatch, word) == 2
    assert "expected LABEL=GLOB" in capsys.readouterr().err


def test_another_file_is_the_users_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "x.json").write_text("[]")
    assert run(monkeypatch, f"x={tmp_path}/x.json") == 2
    assert "x.json: cannot be read as metrics.json" in capsys.readouterr().err
