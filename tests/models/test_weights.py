import os

import pytest
import torch

from models.weights import MAX_LISTED, mismatches, read_weights
from utils.errors import UserError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3)}


class Opens:
    """A pickle that would run code when loaded."""

    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize("zip_format", [True, False])
def test_reads_both_formats_that_torch_writes(tmp_path, zip_format):
    torch.save(STATE, tmp_path / "w.pkl", _use_new_zipfile_serialization=zip_format)
    state = read_weights(tmp_path / "w.pkl")
    assert list(state) == list(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 100, -40])
def test_truncated_file(tmp_path, kept, zip_format):
    file = tmp_path / "w.pkl"
    torch.save(STATE, file, _use_new_zipfile_serialization=zip_format)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{file} cannot be read as weights: damaged, cut short"):
        read_weights(file)


@pytest.mark.parametrize("zip_format", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, monkeypatch, zip_format):
    file = tmp_path / "w.pkl"
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Opens()}, file, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(UserError, match="may run code when loaded: refused"):
        read_weights(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (torch.zeros(3), "a Tensor"),
        ([], "a list"),
        ({}, "empty"),
        ({"model": STATE, "step": 3}, "'model' is a dict.*not in resume.pkl"),
        ({0: torch.zeros(1)}, "0 is a Tensor"),
    ],
)
def test_anything_but_named_tensors_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pkl")
    with pytest.raises(UserError, match=message):
        read_weights(tmp_path / "w.pkl")


def test_mismatches_are_listed_by_kind_and_counted():
    gone = {f"gone{k}": torch.zeros(1) for k in range(MAX_LISTED + 3)}
    expected = {"same": torch.zeros(2, 3), "shape": torch.zeros(4)} | gone
    given = {"same": torch.ones(2, 3), "shape": torch.zeros(5), "new": torch.zeros(1)}
    missing, unexpected, misshapen = mismatches(expected, given)
    assert missing == f"{len(gone)} missing: {', '.join(list(gone)[:MAX_LISTED])} and 3 more"
    assert unexpected == "1 unexpected: new"
    assert misshapen == "1 of another shape: shape ((5,) in the weights, (4,) in the model)"
    assert mismatches(expected, expected) == []
