"""The step of domain adaptation: who gets which gradient, by hand on two pixels, and what is left in memory."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn

from models.discriminator import Discriminator
from tests.helpers.config_examples import build_task
from tests.helpers.runs import few_threads
from training.adaptation import Adaptation, Aligned
from training.distributed import Processes
from training.precision import Precision
from training.strategy import Engine
from utils.config.schema.training import AdaptationConfig

CPU = torch.device("cpu")
CHANNELS = {"semseg": 4, "depth": 1, "normals": 3}


@pytest.fixture(autouse=True)
def _one_thread():
    with few_threads():
        yield


class Network(nn.Module):
    """A convolution for each task; scale 1 is scale 0 at half the size. `watch` is shown every prediction."""

    def __init__(self, tasks=("semseg", "depth")):
        super().__init__()
        self.heads = nn.ModuleDict({task: nn.Conv2d(3, CHANNELS[task], 1) for task in tasks})
        self.watch = lambda predictions: None

    def forward(self, image):
        full = {task: head(image) for task, head in self.heads.items()}
        predictions = {task: {0: p, 1: nn.functional.avg_pool2d(p, 2)} for task, p in full.items()}
        self.watch(predictions)
        return predictions


class OneGain(nn.Module):
    """Depth is the image's first channel times the one weight."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return {"depth": {0: image[:, :1] * self.gain}}


class PixelJudge(nn.Module):
    """One logit for every pixel: the mean over channels times `slope`, plus `offset`."""

    def __init__(self, slope=0.7, offset=0.1):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, maps):
        return maps.mean(1, keepdim=True) * self.slope + self.offset


def sum_of_squares(predictions, batch):
    """A supervised loss that every prediction takes part in."""
    return {"total": sum(p.square().mean() for scales in predictions.values() for p in scales.values())}


def no_supervision(predictions, batch):
    return {"total": 0 * predictions["depth"][0].sum()}


def spectral_judges(outputs):
    """The project's own discriminators."""
    return [Discriminator(in_channels=CHANNELS[task]) for task, _ in outputs]


def strategy_of(
    network, outputs, *, judges=None, loss=sum_of_squares, start=1, adversarial=1.0, disc=1.0, max_norm=None
):
    """An Adaptation that aligns `outputs`, every optimizer SGD with learning rate 1 that halves with every step."""

    def training(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    judges = judges or [PixelJudge() for _ in outputs]
    aligned = [Aligned(*output, judge, *training(judge)) for output, judge in zip(outputs, judges, strict=True)]
    precision = Precision(device=CPU, use_amp=False, amp_dtype="bfloat16")
    engine = Engine(*training(network), precision, Processes(), max_norm)
    strategy = Adaptation(
        model=network,
        forward=network,
        loss=loss,
        datasets={"source": [0], **({"target": [0]} if aligned else {})},
        aligned=aligned,
        tasks={output.task: build_task(output.task) for output in aligned},
        start=start,
        adversarial_weight=adversarial,
        discriminator_weight=disc,
        engine=engine,
    )
    strategy.train()
    return strategy


def batches_of(size=32, batch=2):
    depth = torch.rand(batch, 1, size, size) * 50 + 1
    source = {"image": torch.rand(batch, 3, size, size), "depth": depth, "depth_mask": depth > 10}
    return {"source": source, "target": {"image": torch.rand(batch, 3, size, size)}}


def two_pixels():
    """Source pixels 0 and 1, target pixels 0.5 and 2; no measured depth, so that the map is the ReLU of depth."""

    def image(left, right):
        return torch.tensor([left, right]).expand(1, 3, 1, 2).clone()

    nothing = torch.zeros(1, 1, 1, 2)
    source = {"image": image(0.0, 1.0), "depth": nothing, "depth_mask": nothing.bool()}
    return {"source": source, "target": {"image": image(0.5, 2.0)}}


def gradients(module):
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def flat_gradient(module):
    return torch.cat([p.grad.flatten() for p in module.parameters()])


OUTPUTS = [("semseg", 0), ("semseg", 1), ("depth", 0), ("depth", 1)]


def test_both_losses_and_their_gradients_on_two_pixels():
    strategy = strategy_of(
        OneGain(), [("depth", 0)], judges=[PixelJudge(1.0, -1.0)], loss=no_supervision, adversarial=0.2, disc=3.0
    )

    values = strategy.backward(two_pixels(), step=1, share=0.5)

    def cost(x):  # softplus: BCE of the logit x against 0; that of -x is BCE of x against 1
        return math.log1p(math.exp(x))

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    # Logits: source 0 - 1, 1 - 1; target 0.5 - 1, 2 - 1. The network wants its target taken for source, which is 0.
    assert values["adv_depth_0"].item() == pytest.approx((cost(-0.5) + cost(1.0)) / 2)
    assert values["dis_src_depth_0"].item() == pytest.approx((cost(-1.0) + cost(0.0)) / 2)
    assert values["dis_tgt_depth_0"].item() == pytest.approx((cost(0.5) + cost(-1.0)) / 2)
    assert values["dis_acc_depth_0"].item() == 0.75  # of four pixels, the target's first is taken for source
    # d/d gain: the target's pixels are 0.5 and 2. Positive: a smaller gain makes the target look more like the source.
    slope = (0.5 * sigmoid(-0.5) + 2 * sigmoid(1.0)) / 2
    assert strategy.model.gain.grad.item() == pytest.approx(0.2 * 0.5 * slope)
    judge = strategy.aligned[0].discriminator
    offset = (sigmoid(-1.0) + sigmoid(0.0)) / 2 - (sigmoid(0.5) + sigmoid(-1.0)) / 2
    weight = sigmoid(0.0) / 2 - (0.5 * sigmoid(0.5) + 2 * sigmoid(-1.0)) / 2
    assert judge.offset.grad.item() == pytest.approx(3.0 * 0.5 * offset / 2)
    assert judge.slope.grad.item() == pytest.approx(3.0 * 0.5 * weight / 2)


@pytest.mark.parametrize(("doda", "first"), [(True, 1), (1, 1), (0, 1), (3, 3), (False, None)])
def test_adaptation_starts_when_told(doda, first):
    start = AdaptationConfig(doda=doda).start
    strategy = strategy_of(Network(), OUTPUTS, start=start)
    batches = batches_of()
    for step in range(1, 5):
        strategy.model.zero_grad()
        calls = []
        strategy.model.watch = calls.append
        values = strategy.backward(batches, step=step, share=1.0)
        adapts = first is not None and step >= first
        assert len(calls) == (2 if adapts else 1)
        assert ("adv_semseg_0" in values) is adapts
        judged = any(g is not None for output in strategy.aligned for g in gradients(output.discriminator))
        assert judged is adapts


def test_every_output_has_its_losses_by_name():
    strategy = strategy_of(Network(("semseg", "depth", "normals")), [*OUTPUTS, ("normals", 1)])
    values = strategy.backward(batches_of(), step=1, share=1.0)
    kinds = ("adv", "dis_src", "dis_tgt", "dis_acc")
    names = ("semseg_0", "semseg_1", "depth_0", "depth_1", "normals_1")
    assert set(values) == {"total"} | {f"{kind}_{name}" for kind in kinds for name in names}
    for value in values.values():
        assert value.shape == () and not value.requires_grad and torch.isfinite(value)
    assert list(strategy.networks) == ["model", *(f"discriminator_{name}" for name in names)]


def gradient_with(outputs=OUTPUTS, share=1.0, **options):
    """Gradient of the network and of every discriminator after one step of always the same start."""
    torch.manual_seed(1)
    strategy = strategy_of(Network(), outputs, **options)
    strategy.backward(batches_of(size=8), step=1, share=share)
    return flat_gradient(strategy.model), [flat_gradient(output.discriminator) for output in strategy.aligned]


def test_the_weights_scale_their_own_gradient_and_no_other():
    network, judges = gradient_with(adversarial=0.5, disc=1.0)
    supervised, same = gradient_with(adversarial=0.0, disc=1.0)
    doubled, _ = gradient_with(adversarial=1.0, disc=1.0)
    assert (network - supervised).norm() > 1e-4
    torch.testing.assert_close(doubled - supervised, 2 * (network - supervised), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(same, judges, rtol=0, atol=0)  # the adversarial step leaves the discriminators alone
    unmoved, tripled = gradient_with(adversarial=0.5, disc=3.0)
    torch.testing.assert_close(unmoved, network, rtol=0, atol=0)  # the discriminators' step leaves the network alone
    torch.testing.assert_close(tripled, [3 * gradient for gradient in judges])
    half_network, half_judges = gradient_with(adversarial=0.5, disc=1.0, share=0.5)
    torch.testing.assert_close(half_network, network / 2)
    torch.testing.assert_close(half_judges, [gradient / 2 for gradient in judges])


def test_the_adversarial_loss_is_a_mean_over_outputs():
    supervised, _ = gradient_with(adversarial=0.0)
    together = gradient_with()[0] - supervised
    alone = [gradient_with([output])[0] - supervised for output in OUTPUTS]
    torch.testing.assert_close(together, torch.stack(alone).mean(0), rtol=1e-4, atol=1e-6)
    # The discriminators' losses are a sum: each learns from its own as if it were the only one.
    judges = gradient_with()[1]
    torch.testing.assert_close(judges, [gradient_with([output])[1][0] for output in OUTPUTS])


def test_clipping_is_the_networks_and_every_scheduler_steps():
    strategy = strategy_of(Network(), OUTPUTS, adversarial=1e3, disc=1e3, max_norm=0.1)
    strategy.backward(batches_of(), step=1, share=1.0)
    of_judges = [flat_gradient(output.discriminator) for output in strategy.aligned]
    assert flat_gradient(strategy.model).norm() > 1 and all(gradient.norm() > 1 for gradient in of_judges)

    def weights(module):
        return torch.cat([p.detach().flatten().clone() for p in module.parameters()])

    network, judges = weights(strategy.model), [weights(output.discriminator) for output in strategy.aligned]
    strategy.update()  # learning rate 1: the weights move by the gradient
    assert (weights(strategy.model) - network).norm().item() == pytest.approx(0.1, rel=1e-3)
    for output, before, gradient in zip(strategy.aligned, judges, of_judges, strict=True):
        torch.testing.assert_close(before - weights(output.discriminator), gradient)
        assert gradients(output.discriminator) == [None, None]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in strategy.optimizers.values()]
    assert rates == [0.5] * 5


def test_a_step_before_the_start_updates_with_a_gradient_scaler_too():
    """Discriminators have no gradient yet, which a scaler that is asked to step them takes for a mistake."""
    strategy = strategy_of(Network(), OUTPUTS, start=3)
    strategy.precision.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = [p.clone() for output in strategy.aligned for p in output.discriminator.parameters()]
    for step in (1, 2):
        strategy.backward(batches_of(), step=step, share=1.0)
        strategy.update()
    after = [p for output in strategy.aligned for p in output.discriminator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    strategy.backward(batches_of(), step=3, share=1.0)
    strategy.update()
    assert not any(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def tensors_in_graphs():
    """Ids of all living tensors that were computed from something that learns."""
    gc.collect()
    found = (o for o in gc.get_objects() if issubclass(type(o), torch.Tensor))
    return {id(tensor) for tensor in found if tensor.grad_fn is not None}


def test_no_graph_outlives_its_backward():
    strategy = strategy_of(Network(), OUTPUTS, judges=spectral_judges(OUTPUTS))
    batches = batches_of()
    strategy.backward(batches, step=1, share=1.0)
    of_source, alive_at_target = [], []

    def watch(predictions):
        if of_source:
            alive_at_target.extend(reference() is not None for reference in of_source)
        else:
            of_source.extend(weakref.ref(p) for scales in predictions.values() for p in scales.values())

    strategy.model.watch = watch
    before = tensors_in_graphs()
    values = strategy.backward(batches, step=2, share=1.0)
    assert alive_at_target == [False] * 4  # the source's predictions are gone when the target's are made
    assert tensors_in_graphs() <= before
    assert all(value.grad_fn is None for value in values.values())


def test_panels_show_the_maps_of_both_domains():
    strategy = strategy_of(Network(("semseg", "depth", "normals")), [("semseg", 0), ("depth", 0), ("normals", 0)])
    batches = batches_of(size=64, batch=3)
    before = [gradients(network) for network in strategy.networks.values()]
    panels = strategy.panels(batches, 2)
    assert list(panels) == ["maps_00", "maps_01"]
    for picture in panels.values():
        # Two rows (source, target) of image, self-information, depth and normals.
        assert picture.dtype == "uint8" and picture.shape[0] >= 2 * 64 and picture.shape[1] >= 4 * 64
    assert (panels["maps_00"] != panels["maps_01"]).any()
    assert [gradients(network) for network in strategy.networks.values()] == before
    assert strategy.panels(batches, 0) == {}
