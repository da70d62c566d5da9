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


@pytest.fixture(autouse=True)
def models_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("MODELS", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("zip_format", [True, False])
def test_reads_both_formats_that_torch_writes(tmp_path, zip_format):
    torch.save(STATE, tmp_path / "w.pkl", _use_new_zipfile_serialization=zip_format)
    state = read_weights(tmp_path / "w.pkl")
    assert list(state) == list(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_looks_under_models_when_not_found_as_given(models_folder, tmp_path):
    torch.save(STATE, models_folder / "w.pkl")
    assert torch.equal(read_weights("w.pkl")["a.count"], torch.tensor(3))
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pkl")
    assert list(read_weights("w.pkl")) == ["other"]


def test_missing_file_lists_what_was_tried(models_folder, monkeypatch):
    with pytest.raises(UserError) as error:
        read_weights("sub/w.pkl")
    assert str(error.value) == f"no weights file at sub/w.pkl, {models_folder}/sub/w.pkl"
    monkeypatch.delenv("MODELS")
    with pytest.raises(UserError, match=r"no weights file at w.pkl; \$MODELS, the folder also searched, is not set"):
        read_weights("w.pkl")
    with pytest.raises(UserError, match="no weights file at /nowhere/w.pkl$"):
        read_weights("/nowhere/w.pkl")


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 100, -40])
def test_truncated_file(tmp_path, kept, zip_format):
    file = tmp_path / "w.pkl"
    torch.save(STATE, file, _use_new_zipfile_serialization=zip_format)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{file} cannot be read as weights: damaged, cut short"):
        read_weights(file)


@pytest.mark.parametrize("zip_format", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, zip_format):
    file = tmp_path / "w.pkl"
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
    assert missing.startswith("13 missing: gone0, gone1, ") and missing.endswith("gone9 and 3 more")
    assert unexpected == "1 unexpected: new"
    assert misshapen == "1 of another shape: shape ((5,) in the weights, (4,) in the model)"
    assert mismatches(expected, expected) == []
