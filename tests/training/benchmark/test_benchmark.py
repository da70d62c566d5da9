"""The benchmarks: their meters against known sizes, and what they print for a small experiment."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dataset.experiment import open_dataset, training_use
from tests.helpers.runs import ROOT, few_threads, small_experiment
from training.benchmark import __main__ as benchmark
from training.benchmark.memory import peak_on_cpu
from training.benchmark.noise_data import noise_datasets
from training.benchmark.step import CONVOLUTIONS, forward_flops, yardstick
from training.precision import Precision

DA = ("--base", "configs/demo/da/fs_bs4.yml", "--config", "configs/demo/da/resnet18_ours_SD.yml")
FS = ("--base", "configs/demo/fs_bs4.yml", "--config", "configs/demo/resnet18_ours_SDNE.yml")
SMALL = ("--set", "data.train_bs=2", "--device", "cpu")
PRECISION = Precision(device=torch.device("cpu"), use_amp=False, amp_dtype="bfloat16")


def measure(monkeypatch, capfd, *words):
    """Status, stdout and stderr of the command."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    with few_threads():
        status = benchmark.main()
    printed = capfd.readouterr()
    return status, printed.out, printed.err


def test_the_meter_counts_what_is_held_at_once():
    kept = []

    def work():
        kept.append(torch.zeros(3 * 2**18))  # 3 MiB
        for _ in range(3):
            torch.zeros(2**18)  # 1 MiB, given back at once
        pair = torch.zeros(2**19), torch.zeros(2**19)  # 4 MiB more
        del pair
        return "done"

    peak, result = peak_on_cpu(work)
    assert result == "done"
    assert peak == pytest.approx(7 * 2**20, rel=1e-3)


def test_adaptation_is_measured_beside_its_supervised_step(monkeypatch, capfd):
    for name in ("SYNTHIA_DIR", "CITYSCAPES_DIR", "LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    status, out, _ = measure(monkeypatch, capfd, "memory", *DA, "--size", "96x64", *SMALL)
    assert status == 0 and out.count("\n") == 1
    figures = json.loads(out)
    assert set(figures) == {
        "benchmark", "config", "device", "threads", "method", "size", "batch", "amp", "peak_mib", "state_mib",
        "supervised_peak_mib", "supervised_state_mib", "ratio",
    }  # fmt: skip
    assert figures["size"] == [64, 96] and figures["batch"] == 2 and figures["config"] == "resnet18_ours_SD"
    assert figures["ratio"] == pytest.approx(figures["peak_mib"] / figures["supervised_peak_mib"], rel=1e-3)
    # Adam: weights, gradients and two moments.
    weight = figures["supervised_state_mib"] / 4
    assert figures["supervised_peak_mib"] > 3 * weight
    # Adaptation has the discriminators beside it, and the source's gradients during the target's forward pass; no
    # second graph: that would be all that the supervised step holds beside its state once more.
    added = figures["peak_mib"] - figures["supervised_peak_mib"]
    judges = figures["state_mib"] - figures["supervised_state_mib"]
    assert judges > 0 and added < (judges + weight) * 1.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--size", "64"), "--size 64: expected WxH"),
        (("--size", "60x64"), "60 is not divisible by 32"),
        (("--size", "32x64"), "too small"),
        (("--set", "data.train_bs=1"), "more than 1 value per channel"),
        (("--device", "tpu9"), "--device tpu9: no such device"),
        (("--repeats", "0"), "--repeats 0: expected 1 or more"),
    ],
)
def test_mistakes_are_the_users(monkeypatch, capfd, words, message):
    status, out, error = measure(monkeypatch, capfd, "memory", *FS, *words)
    assert status == 2 and out == "" and "error: " in error and message in error


def test_noise_has_the_form_of_the_files(demo_nyudv2, monkeypatch):
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))
    experiment = small_experiment("evaluate", training__logdir="none")
    real = open_dataset(experiment, training_use(experiment.config))
    noise = noise_datasets(experiment.config).train

    def form(sample):
        return {k: (v.dtype, v.shape) if isinstance(v, torch.Tensor) else type(v) for k, v in sample.items()}

    assert form(noise[0]) == form(real[0])
    assert torch.equal(noise[1]["image"], noise[1]["image"]) and not torch.equal(noise[0]["image"], noise[1]["image"])


def test_a_step_is_measured_beside_a_convolution(monkeypatch, capfd):
    status, out, _ = measure(monkeypatch, capfd, "step", *FS, "--size", "64x64", *SMALL, "--repeats", "2")
    assert status == 0 and out.count("\n") == 1
    figures = json.loads(out)
    assert figures["benchmark"] == "step" and figures["size"] == [64, 64] and figures["batch"] == 2
    assert 0 < figures["fastest_step"] <= figures["seconds_per_step"] and figures["peak_mib"] > 0
    assert figures["images_per_second"] == pytest.approx(2 / figures["seconds_per_step"], rel=0.02)
    for count, ratio in (("model_gflop", "ratio"), ("executed_gflop", "executed_ratio")):
        achieved = figures[count] / figures["seconds_per_step"]
        assert figures[ratio] == pytest.approx(achieved / figures["peak_gflop_per_second"], rel=0.05)
    # The decoders run about half of their operations, the encoder all.
    assert 0.5 < figures["executed_gflop"] / figures["model_gflop"] < 1


def test_operations_are_those_of_every_stream_and_of_the_yardstick():
    model = nn.Conv2d(3, 4, 3, padding=1)
    strategy = SimpleNamespace(model=model, precision=PRECISION)
    batches = {"source": {"image": torch.rand(2, 3, 5, 6)}, "target": {"image": torch.rand(1, 3, 5, 6)}}
    assert forward_flops(strategy, batches) == (3 * (2 * 4 * 3 * 9) * 5 * 6,) * 2
    _, operations = yardstick(strategy, torch.device("cpu"))
    assert operations == CONVOLUTIONS["cpu"] * 2 * (2 * 128 * 128 * 9) * 128 * 256


def test_attention_counts_on_a_cpu_too():
    class Attention(nn.Module):
        def forward(self, x):
            x = x.flatten(2).transpose(1, 2)[:, None]  # [B,C,h,w] -> [B,1,h*w,C]
            return F.scaled_dot_product_attention(x, x, x)

    strategy = SimpleNamespace(model=Attention(), precision=PRECISION)
    per_image = 2 * (30 * 30 * 8) * 2  # scores and their sums of values
    assert forward_flops(strategy, {"source": {"image": torch.rand(2, 8, 5, 6)}}) == (2 * per_image,) * 2
