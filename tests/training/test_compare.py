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


def write(folder, *values):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"metrics": metrics(*values)}))


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    return compare.main()


def test_mean_and_deviation_over_seeds_of_the_final_output_and_gains_by_seed(tmp_path, monkeypatch, capsys):
    write(tmp_path / "bound" / "s1" / "2026-01-01_00-00-00", 0.2, 4.0)
    write(tmp_path / "bound" / "s2" / "2026-01-01_00-00-00", 0.4, 6.0)
    write(tmp_path / "ours" / "s1" / "2026-01-01_00-00-00", 0.3, 4.5)
    write(tmp_path / "ours" / "s2" / "2026-01-01_00-00-00", 0.6, 3.5)
    write(tmp_path / "one" / "s2" / "2026-01-01_00-00-00", 0.5, None)
    words = [f"{name}={tmp_path / name}" for name in ("bound", "ours", "one")]
    assert run(monkeypatch, *words) == 0
    header, _, miou, _, rmse, _, _, title, gains, _, miou_gain, _, rmse_gain, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["better", "bound", "(2", "seeds)", "ours", "(2", "seeds)", "one"]
    assert miou.split() == ["semseg", "mIoU", "higher", *"0.3000 ± 0.1414 0.4500 ± 0.2121 0.5000".split()]
    assert rmse.split() == ["depth", "rmse", "lower", *"5.0000 ± 1.4142 4.0000 ± 0.7071 -".split()]
    assert title == "compared with bound, seed by seed"
    assert gains.split() == ["better", "ours", "one"]
    assert miou_gain.split(maxsplit=3)[3] == "+0.1500 ± 0.0707, 2 of 2 better  +0.1000, 1 of 1 better"
    assert rmse_gain.split(maxsplit=3)[3].split("  ")[0] == "-1.0000 ± 2.1213, 1 of 2 better"
    assert rmse_gain.endswith(" -")


def test_the_newest_measured_run_of_a_seed_counts(tmp_path, monkeypatch, capsys):
    write(tmp_path / "s1" / "2026-01-01_00-00-00", 0.2, 4.0)
    write(tmp_path / "s1" / "2026-01-02_00-00-00", 0.3, 5.0)
    (tmp_path / "s1" / "2026-01-03_00-00-00").mkdir()
    assert run(monkeypatch, f"x={tmp_path}") == 0
    header, _, miou, *rest = capsys.readouterr().out.splitlines()
    assert header.split() == ["better", "x"] and miou.split()[-1] == "0.3000"
    assert len(rest) == 3, "nothing to compare with"


@pytest.mark.parametrize(
    ("word", "message"),
    [("label", "expected LABEL=FOLDER"), ("x=nowhere", "nowhere: no s<seed>"), ("x=.", "metrics.json: cannot be read")],
)
def test_what_names_no_runs_is_the_users_error(tmp_path, monkeypatch, capsys, word, message):
    (tmp_path / "s1" / "now").mkdir(parents=True)
    (tmp_path / "s1" / "now" / "metrics.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, word) == 2
    assert message in capsys.readouterr().err
