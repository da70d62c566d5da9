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
        (torch.zeros(3), "holds a Tensor, not a dict of named tensors"),
        ([], "holds an empty list, not"),
        ({}, "holds an empty dict, not"),
        ({"model": STATE, "step": 3}, "its entry 'model' is a dict.*not in resume.pkl"),
        ({0: torch.zeros(1)}, "its entry 0 is a Tensor"),
    ],
)
def test_anything_but_named_tensors_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pkl")
    with pytest.raises(UserError, match=message):
        read_weights(tmp_path / "w.pkl")


def test_mismatches_are_listed_by_kind_and_counted():
    expected = {"same": (2, 3), "shape": (4,), "scalar": ()} | {f"gone{k}": (1,) for k in range(MAX_LISTED + 3)}
    given = {"same": (2, 3), "shape": (5,), "scalar": (), "new": (1,)}
    missing, unexpected, misshapen = mismatches(expected, given)
    assert missing.startswith(f"{MAX_LISTED + 3} missing: gone0, gone1, ") and missing.endswith(
        f"gone{MAX_LISTED - 1} and 3 more"
    )
    assert unexpected == "1 unexpected: new"
    assert misshapen == "1 of another shape: shape ((5,) in the weights, (4,) in the model)"
    assert mismatches(expected, expected) == []
