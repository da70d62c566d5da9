"""`run.json`: every session of a run, with what it ran on and how it ended."""

import json
import sys
from datetime import datetime

import pytest
import torch

from training.run_record import open_session, recorded
from utils.errors import UserError


def sessions(path) -> list[dict]:
    return json.loads(path.read_text())["sessions"]


def session(**changed):
    return open_session(**{"device": torch.device("cpu"), "processes": 1, "weights": None} | changed)


def test_a_session_is_written_at_its_start_and_completed_at_its_end(tmp_path):
    path = tmp_path / "run.json"
    with recorded(path, session(processes=2, weights=tmp_path / "w.pkl")):
        (going_on,) = sessions(path)
    (done,) = sessions(path)
    assert (going_on["end"], going_on["outcome"], done["outcome"]) == (None, None, "done")
    assert datetime.fromisoformat(done["start"]) <= datetime.fromisoformat(done["end"])
    assert going_on | {"end": done["end"], "outcome": "done"} == done
    assert set(done["versions"]) == {"python", "torch", "torchvision", "numpy", "cuda"}
    assert set(done["machine"]) == {"host", "platform", "cpus"}
    assert (done["gpu"], done["processes"], done["weights"]) == (None, 2, str(tmp_path / "w.pkl"))
    assert done["command"] == sys.argv and done["versions"]["torch"] == torch.__version__
    assert (done["dirty"] is None) == (done["commit"] is None)


def test_what_ends_a_session_is_noted_and_the_next_one_is_added(tmp_path):
    path = tmp_path / "run.json"
    with pytest.raises(KeyboardInterrupt), recorded(path, session()):
        raise KeyboardInterrupt
    with recorded(path, session()):
        pass
    assert [one["outcome"] for one in sessions(path)] == ["KeyboardInterrupt", "done"]


def test_a_file_that_is_something_else_is_named(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("[]")
    with pytest.raises(UserError, match="run.json"), recorded(path, session()):
        pass
