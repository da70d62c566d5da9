import io
import math

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from optim.build import build_scheduler
from utils.config.schema.optim import SchedulerConfig


def make_optimizer() -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.01)]
    return torch.optim.SGD(groups)


def make_config(name: str, **kwargs) -> SchedulerConfig:
    return TypeAdapter(SchedulerConfig).validate_python({"name": name, "kwargs": kwargs})


def rates(config: SchedulerConfig, steps: int, iterations: int = 10) -> list[float]:
    """The first group's rate in each of `steps` optimizer steps."""
    optimizer = make_optimizer()
    scheduler = build_scheduler(config, optimizer, iterations=iterations)
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[1]["lr"] == pytest.approx(0.01 * used[-1])
        optimizer.step()
        scheduler.step()
    return used


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (make_config("constant"), [1, 1, 1, 1, 1]),
        (make_config("step", step_size=2), [1, 1, 0.1, 0.1, 0.01]),
        (make_config("step", step_size=3, gamma=0.5), [1, 1, 1, 0.5, 0.5]),
        (make_config("multistep", milestones=[3, 1], gamma=0.5), [1, 0.5, 0.5, 0.25, 0.25]),
        (make_config("poly", power=2), [1, 0.81, 0.64, 0.49, 0.36]),
        (make_config("poly", power=1, max_iterations=2), [1, 0.5, 0, 0, 0]),
        (make_config("cosine", max_iterations=4), [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0]),
        (make_config("cosine", max_iterations=2), [1, 0.5, 0, 0, 0]),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_rates(config: SchedulerConfig, expected: list[float]):
    assert rates(config, steps=5) == pytest.approx(expected, abs=1e-12)


def test_poly_has_the_power_of_the_paper_by_default():
    assert rates(make_config("poly"), steps=6)[5] == pytest.approx(0.5**0.9)  # step 5 of 10


@pytest.mark.parametrize(
    "config",
    [
        make_config("constant"),
        make_config("step", step_size=2),
        make_config("multistep", milestones=[1, 4]),
        make_config("poly"),
        make_config("cosine"),
    ],
    ids=lambda config: config.name,
)
def test_a_saved_schedule_continues_exactly(config: SchedulerConfig):
    optimizer = make_optimizer()
    scheduler = build_scheduler(config, optimizer, iterations=10)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)

    resumed_optimizer = make_optimizer()
    resumed = build_scheduler(config, resumed_optimizer, iterations=10)
    resumed_optimizer.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["scheduler"])
    for _ in range(4):
        before = [group["lr"] for group in optimizer.param_groups]
        assert [group["lr"] for group in resumed_optimizer.param_groups] == before
        for opt, sched in ((optimizer, scheduler), (resumed_optimizer, resumed)):
            opt.step()
            sched.step()


def test_a_resumed_run_follows_the_options_of_its_config():
    longer = build_scheduler(make_config("poly", power=1), make_optimizer(), iterations=20)
    longer.load_state_dict(build_scheduler(make_config("poly"), make_optimizer(), iterations=10).state_dict())
    for _ in range(5):
        longer.optimizer.step()
        longer.step()
    assert longer.get_last_lr() == pytest.approx([0.75, 0.0075])
