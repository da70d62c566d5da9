"""The fully supervised step on a network so small that its gradients can be told by hand."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from loss.build import build_loss
from models.network import MultiTaskNetwork
from optim.build import build_optimizer, build_scheduler
from optim.groups import parameter_groups
from training.distributed import Processes
from training.precision import Precision
from training.strategy import Engine
from training.supervised import Supervised
from utils.config.schema.loss import LossConfig
from utils.config.schema.optim import (
    AdamConfig,
    ConstantScheduler,
    SGDConfig,
    StepKwargs,
    StepScheduler,
)

CPU = torch.device("cpu")


class Logits(nn.Conv2d):
    """A head of two scales."""

    active_scales = (0, 1)


class Pixelwise(MultiTaskNetwork):
    """Logits of three classes from each pixel alone: no sample knows of another."""

    def __init__(self) -> None:
        super().__init__(backbone=nn.Conv2d(3, 4, 1), heads={"semseg": Logits(4, 3, 1)}, exchanges={})

    def decode(self, features, size):
        logits = self.heads["semseg"](features.tanh())
        return {"semseg": {0: logits, 1: nn.functional.avg_pool2d(logits, 2)}}


def build(*, max_norm=None, optimizer="SGD", rates=None, scheduler=None) -> Supervised:
    torch.manual_seed(3)
    network = Pixelwise()
    optimizer = build_optimizer(
        {"SGD": SGDConfig, "Adam": AdamConfig}[optimizer](name=optimizer),
        parameter_groups(network, rates or {"default": 1.0}),
        device=CPU,
    )
    engine = Engine(
        optimizer=optimizer,
        scheduler=build_scheduler(scheduler or ConstantScheduler(), optimizer, iterations=10),
        precision=Precision(device=CPU, use_amp=False, amp_dtype="bfloat16"),
        processes=Processes(),
        max_norm=max_norm,
    )
    loss = build_loss(
        LossConfig(tasks={"semseg": {"loss": "cross_entropy", "kwargs": {"weight": 50, "scales": [0, 1]}}})
    )
    return Supervised(model=network, forward=network, loss=loss, datasets={"source": TensorDataset()}, engine=engine)


@pytest.fixture
def batch():
    return {"image": torch.rand(4, 3, 8, 8), "semseg": torch.randint(0, 3, (4, 8, 8))}


def gradients(strategy: Supervised) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in strategy.model.parameters()]


def weights(strategy: Supervised) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in strategy.model.parameters()])


def test_two_batches_of_two_give_the_gradient_of_one_of_four(batch):
    whole, parts = build(), build()
    losses = whole.backward({"source": batch}, step=1, share=1.0)
    halves = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 2), slice(2, 4))]
    of_halves = [parts.backward({"source": half}, step=1, share=0.5) for half in halves]
    for a, b in zip(gradients(whole), gradients(parts), strict=True):
        assert a.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    # The losses reported are not shares, and keep no graph alive.
    mean = (of_halves[0]["total"] + of_halves[1]["total"]) / 2
    torch.testing.assert_close(losses["total"], mean)
    assert not any(value.requires_grad for value in losses.values())
    assert set(losses) == {"total", "semseg", "semseg_0", "semseg_1"}


@pytest.mark.parametrize("max_norm", [0.25, None, 0, 1e6])
def test_the_step_is_clipped_to_the_norm_asked_for(batch, max_norm):
    """With plain SGD at rate 1 the step is the gradient."""
    strategy = build(max_norm=max_norm)
    before = weights(strategy)
    strategy.backward({"source": batch}, step=1, share=1.0)
    gradient = torch.cat([value.flatten() for value in gradients(strategy)])
    strategy.update()
    step = before - weights(strategy)
    assert gradient.norm() > 1
    expected = gradient * (0.25 / gradient.norm()) if max_norm == 0.25 else gradient
    torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in strategy.model.parameters())


def test_every_group_has_its_rate_and_the_schedule_moves_them_all(batch):
    scheduler = StepScheduler(name="step", kwargs=StepKwargs(step_size=2, gamma=0.1))
    strategy = build(rates={"default": 1e-2, "backbone": 1e-3}, scheduler=scheduler)
    rates = []
    for step in range(1, 4):
        strategy.backward({"source": batch}, step=step, share=1.0)
        strategy.update()
        rates.append(strategy.learning_rates())
    assert rates[0] == {"lr/default": 1e-2, "lr/backbone": 1e-3}
    assert rates[2] == pytest.approx({"lr/default": 1e-3, "lr/backbone": 1e-4})


def test_learning_goes_on_exactly_from_a_saved_state(batch):
    straight, first = build(optimizer="Adam", rates={"default": 0.1}), build(optimizer="Adam", rates={"default": 0.1})
    for strategy in (straight, first):
        strategy.backward({"source": batch}, step=1, share=1.0)
        strategy.update()
    second = build(optimizer="Adam", rates={"default": 0.5})
    second.load_state_dict(first.state_dict())
    for strategy in (straight, second):
        strategy.backward({"source": batch}, step=2, share=1.0)
        strategy.update()
    assert torch.equal(weights(straight), weights(second))
    assert straight.learning_rates() == second.learning_rates() == {"lr/default": 0.1}
