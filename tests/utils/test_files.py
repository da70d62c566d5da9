import os
import resource

import pytest
import torch

from utils.errors import UserError
from utils.files import save_json, save_tensors, write_atomically

LIMIT = 100_000  # bytes that a file may have


@pytest.fixture
def little_space():
    """Writing beyond the limit fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS = {
    "bytes": lambda path, size: write_atomically(path, lambda file: file.write(bytes(size))),
    "json": lambda path, size: save_json(path, "x" * size),
    "tensors": lambda path, size: save_tensors(path, {"weight": torch.zeros(size // 4)}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_where_no_space_is_left_one_message_says_so_and_the_old_file_stays(tmp_path, little_space, kind):
    path = tmp_path / "weights.pkl"
    WRITERS[kind](path, 1000)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"weights\.pkl: cannot be written \(File too large\).*space left"):
        WRITERS[kind](path, 10 * LIMIT)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.pkl"]


def test_what_cannot_be_stored_is_an_error_of_the_program(tmp_path):
    with pytest.raises(AttributeError, match="local object"):
        save_tensors(tmp_path / "weights.pkl", lambda: None)
    assert os.listdir(tmp_path) == []
