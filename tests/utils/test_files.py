import os
import resource

import numpy as np
import pytest
import torch

from utils.errors import UserError
from utils.files import save_json, save_tensors, write_atomically
from utils.visualize import write_png

LIMIT = 100_000  # bytes that a file may have
WRITERS = {
    "bytes": lambda path, size: write_atomically(path, lambda file: file.write(bytes(size))),
    "json": lambda path, size: save_json(path, "x" * size),
    "tensors": lambda path, size: save_tensors(path, {"weight": torch.zeros(size // 4)}),
    "png": lambda path, size: write_png(path, np.random.default_rng(0).integers(0, 256, (1, size, 3), dtype=np.uint8)),
}


@pytest.fixture
def little_space():
    """Writing beyond the limit fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", WRITERS)
def test_where_no_space_is_left_one_message_says_so_and_the_old_file_stays(tmp_path, little_space, kind):
    path = tmp_path / "weights.pkl"
    WRITERS[kind](path, 1000)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"weights\.pkl: .*File too large.*space left"):
        WRITERS[kind](path, 10 * LIMIT)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.pkl"]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(("folder", "reason"), [("absent", "No such file"), ("file", "Not a directory")])
def test_a_folder_that_is_none_is_the_users_to_mend(tmp_path, kind, folder, reason):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"{folder}/x: .*{reason}.*check that its folder exists"):
        WRITERS[kind](tmp_path / folder / "x", 1000)


def test_what_cannot_be_stored_is_an_error_of_the_program(tmp_path):
    with pytest.raises(AttributeError, match="local object"):
        save_tensors(tmp_path / "weights.pkl", lambda: None)
    assert os.listdir(tmp_path) == []
