import random

import numpy as np
import pytest
import torch

from training.state import Progress, load_state, save_state
from utils.errors import UserError
from utils.seed import random_states, restore_random_states


def write(path, **changes):
    progress = Progress(step=7, best=1.5, validated=5, batches={"source": 14}, wandb_id="abc", **changes)
    save_state(path, progress=progress, strategy={"weight": torch.arange(3)}, random=[random_states()])
    return progress


def test_a_state_comes_back_as_it_was_without_running_code(tmp_path):
    written = write(tmp_path / "resume.pkl")
    progress, strategy, states = load_state(tmp_path / "resume.pkl")  # weights_only=True inside
    assert progress == written
    assert torch.equal(strategy["weight"], torch.arange(3))
    assert len(states) == 1


def draw():
    return random.random(), np.random.rand(), torch.rand(2).tolist()


def test_restored_generators_draw_the_same_again(tmp_path):
    write(tmp_path / "resume.pkl")
    first = draw()
    draw()
    restore_random_states(load_state(tmp_path / "resume.pkl")[2][0])
    assert draw() == first


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_state_is_the_users_error(tmp_path, keep):
    path = tmp_path / "resume.pkl"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(UserError, match="resume.pkl.*damaged"):
        load_state(path)


def test_weights_are_not_taken_for_a_state(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "resume.pkl")
    with pytest.raises(UserError, match="cannot be read as the state of a run"):
        load_state(tmp_path / "resume.pkl")
