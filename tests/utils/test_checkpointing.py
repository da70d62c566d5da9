"""Activation checkpointing changes what is kept, and nothing else."""

import pytest
import torch

from models.build import build_model
from models.decoder import Decoder
from models.encoder import Encoder
from tests.helpers.model_setups import narrow_setup
from tests.helpers.runs import ROOT
from training.benchmark.memory import peak_of_step
from utils.config.load import load_experiment

FS = (ROOT / "configs/demo/resnet18_ours_SDNE.yml", ROOT / "configs/demo/fs_bs4.yml")


def build(**options: bool):
    overrides = [f"training.{key}={value}" for key, value in options.items()]
    overrides += ["data.width=128", "data.height=128", "data.train_bs=2"]
    return load_experiment(FS[0], base=FS[1], overrides=overrides, purpose="predict")


def trained(checkpoints: bool, place=lambda model: model):
    """A network after two forward and backward passes, its predictions and gradients."""
    torch.manual_seed(1)
    model = place(build_model(narrow_setup(("semseg", "depth")), pretrained=False)).train()
    parts = [part for part in model.modules() if isinstance(part, Encoder | Decoder)]
    assert len(parts) == 3
    for part in parts:
        part.checkpoints_activations = checkpoints
    image = torch.rand(2, 3, 64, 64)
    for _ in range(2):
        predictions = model(image)
        sum(p.square().mean() for scales in predictions.values() for p in scales.values()).backward()
    return model, predictions


@pytest.mark.parametrize("place", [lambda model: model, torch.nn.SyncBatchNorm.convert_sync_batchnorm])
def test_training_is_the_same_to_the_bit(place):
    (plain, expected), (model, predictions) = trained(False, place), trained(True, place)
    for task, scales in expected.items():
        assert all(torch.equal(predictions[task][scale], value) for scale, value in scales.items())
    # Dropout drew the same, and batch norms have moved once a pass.
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    state, other = model.state_dict(), plain.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in other)
    assert state["backbone.bn1.num_batches_tracked"] == state["backbone.layer3.0.bn1.num_batches_tracked"] == 2


def test_a_step_takes_less_memory():
    peaks = [peak_of_step(build(activation_checkpointing=value), torch.device("cpu")) for value in (False, True)]
    (plain, state), (checkpointed, same_state) = peaks
    assert state == same_state
    assert checkpointed - 0.75 * state < 0.9 * (plain - 0.75 * state)  # without the gradients, which come later
