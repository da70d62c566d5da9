"""Benchmarks of an experiment on this machine: `python -m utils.benchmark memory --base B --config C [--size HxW]`.

The images are noise: neither datasets nor pretrained weights are needed. Prints one line of JSON.

`memory` is the peak of a training step: all that PyTorch holds from the making of the network on, which is weights,
gradients, optimizer state, batches and activations. On CUDA the allocator tells (`torch.cuda.max_memory_allocated`); on
the CPU the allocations and releases that the profiler records are added up, which leaves out what oneDNN allocates for
itself inside a convolution.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from dataset.loader import train_loader
from dataset.noise import build_noise
from training.build import build_setting
from training.device import choose_device, set_switches
from training.distributed import Processes
from training.setting import Setting, to_device
from utils.config import Experiment, load_experiment
from utils.errors import UserError
from utils.seed import seed_everything

MIB = 2**20
Result = TypeVar("Result")


def memory(experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Peak memory of a training step in MiB; of domain adaptation also that of the supervised step it contains.

    `state_mib` is the part that does not grow with the images: weights, gradients and optimizer state.
    """
    data = experiment.config.data
    peak, state = _peak_of_step(experiment, device)
    height, width = data.source.output_size
    result: dict[str, Any] = {
        "benchmark": "memory",
        "config": experiment.name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "method": "max_memory_allocated" if device.type == "cuda" else "profiler",
        "size": [height, width],
        "batch": data.train_bs,
        "amp": experiment.config.training.use_amp,
        "peak_mib": round(peak / MIB, 1),
        "state_mib": round(state / MIB, 1),
    }
    if data.target is not None:
        supervised_peak, supervised_state = _peak_of_step(_supervised(experiment), device)
        result["supervised_peak_mib"] = round(supervised_peak / MIB, 1)
        result["supervised_state_mib"] = round(supervised_state / MIB, 1)
        result["ratio"] = round(peak / supervised_peak, 3)
    return result


def _supervised(experiment: Experiment) -> Experiment:
    """The experiment without its target."""
    config = experiment.config
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"target": None}),
            "training": config.training.model_copy(update={"da": None}),
        }
    )
    return Experiment(config=config, raw=experiment.raw, name=experiment.name)


def _peak_of_step(experiment: Experiment, device: torch.device) -> tuple[int, int]:
    """Bytes at the peak of a training step that finds an optimizer state, and those of them that are state."""

    def two_steps() -> int:
        config = experiment.config
        seed_everything(config.training.seed)
        setting, _ = build_setting(experiment, device, Processes(), resumes=True, build_data=build_noise)
        setting.train()
        options = {"batch_size": config.data.train_bs, "workers": 0, "seed": config.training.seed}
        streams = {name: iter(train_loader(dataset, **options)) for name, dataset in setting.datasets.items()}
        # Whatever the experiment starts with later, such as adaptation, is part of the step.
        last = config.training.iterations
        for step in (last - 1, last):
            for _ in range(config.training.accumulate):
                batches = {
                    name: to_device(next(stream), device, channels_last=config.training.channels_last)
                    for name, stream in streams.items()
                }
                setting.backward(batches, step=step, share=1 / config.training.accumulate)
            setting.update()
        return _state(setting)

    gc.collect()
    return (_peak_on_cuda if device.type == "cuda" else _peak_on_cpu)(two_steps)


def _state(setting: Setting) -> int:
    """Bytes of all weights, of a gradient for each, and of all optimizer state."""
    weights = [weight for network in setting.networks.values() for weight in network.parameters()]
    states = [state for optimizer in setting.optimizers.values() for state in optimizer.state.values()]
    moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return 2 * sum(weight.nbytes for weight in weights) + sum(moment.nbytes for moment in moments)


def _peak_on_cuda(work: Callable[[], Result]) -> tuple[int, Result]:
    """Bytes that `work` allocates at its peak beyond what there was, and what it gives."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = work()
    return torch.cuda.max_memory_allocated() - before, result


def _peak_on_cpu(work: Callable[[], Result]) -> tuple[int, Result]:
    """As `_peak_on_cuda`, from the profiler's record."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # silent about GPUs that are not there
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        record.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event["args"]["Ev Idx"]):
        held += event["args"]["Bytes"]  # negative where memory is released
        peak = max(peak, held)
    return peak, result


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(prog="python -m utils.benchmark", description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    kind = kinds.add_parser("memory", help="peak memory of a training step")
    kind.add_argument("--config", type=Path, required=True, metavar="FILE", help="experiment file (YAML)")
    kind.add_argument("--base", type=Path, metavar="FILE", help="file whose sections --config replaces")
    kind.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="as of main.py")
    kind.add_argument("--size", metavar="HxW", help="size of the samples (default: the config's)")
    kind.add_argument("--device", metavar="NAME", help="cpu, cuda ... (default: CUDA where there is one)")
    return parser


def load(arguments: argparse.Namespace) -> Experiment:
    """The experiment to measure, its samples of `--size`.

    Raises:
        UserError: A mistake in the experiment or the size.
    """
    files = {"config": arguments.config, "base": arguments.base, "purpose": "predict"}  # no dataset has to be there
    experiment = load_experiment(overrides=arguments.overrides, **files)
    if arguments.size is None:
        return experiment
    height, separator, width = arguments.size.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise UserError(f"--size {arguments.size}: expected HxW in pixels, such as 256x512")
    roles = ["source"] if experiment.config.data.target is None else ["source", "target"]
    values = {"height": height, "width": width, "crop_h": "null", "crop_w": "null"}
    sizes = [f"data.{role}.{key}={value}" for role in roles for key, value in values.items()]
    return load_experiment(overrides=[*arguments.overrides, *sizes], **files)


def main() -> int:
    """Measure and print; exit status 2 for the user's mistakes."""
    arguments = build_parser().parse_args()
    try:
        experiment = load(arguments)
        device = choose_device(arguments.device)
        set_switches(device, benchmark=experiment.config.training.benchmark, detect_anomaly=False)
        print(json.dumps(memory(experiment, device)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
