"""Set-up shared by all tests: two threads in all, a fixed seed, and the demo world's fixtures."""

import os
import random

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2  # one for each of two processes, or both
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # see training/__init__.py
os.environ["WANDB_MODE"] = "disabled"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

pytest_plugins = ["tests.helpers.demo_fixtures"]
torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
