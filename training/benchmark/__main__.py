"""Benchmarks of an experiment on this machine: `python -m training.benchmark KIND --base B --config C [--size WxH]`.

Prints one line of JSON. `loader` reads the experiment's training images, of `data.prepared` where it is set; the others
run on images of noise, so that neither datasets nor pretrained weights are needed.
"""

import argparse
import json
import sys
from typing import Any

from utils.command import run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.load import Experiment, Purpose
from utils.errors import UserError

KINDS = {
    "step": "seconds of a training step, and its share of a convolution's speed",
    "evaluate": "images per second of a validation, compared with the plain loop of research code",
    "loader": "seconds to load a training image, compared with decoding its files",
    "memory": "peak memory of a training step",
}


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmark", description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, text in KINDS.items():
        kind = kinds.add_parser(name, help=text)
        add_experiment_options(kind)
        kind.add_argument("--size", metavar="WxH", help="size of the samples (default: the config's)")
        kind.add_argument("--device", metavar="NAME", help="cpu, cuda ... (default: CUDA where there is one)")
        kind.add_argument("--amp", action="store_true", help="short for --set training.use_amp=true")
        kind.add_argument("--compile", action="store_true", help="short for --set training.compile=true")
        if name == "loader":
            kind.add_argument("--samples", type=int, default=16, metavar="N", help="loaded (default: %(default)s)")
            kind.add_argument("--workers", type=int, default=0, metavar="N", help="also through so many processes")
        if name == "evaluate":
            kind.add_argument("--images", type=int, default=8, metavar="N", help="a validation (default: %(default)s)")
        kind.add_argument("--repeats", type=int, default=5, metavar="N", help="repetitions (default: %(default)s)")
    return parser


def load(arguments: argparse.Namespace) -> Experiment:
    """The experiment to measure, its samples of `--size`.

    Raises:
        UserError: A mistake in the experiment or the size.
    """
    # `loader` alone reads a dataset.
    purpose: Purpose = "train" if arguments.kind == "loader" else "predict"
    switches = {"training.use_amp=true": arguments.amp, "training.compile=true": arguments.compile}
    overrides = [override for override, enabled in switches.items() if enabled]
    experiment = chosen_experiment(arguments, purpose=purpose, overrides=overrides)
    if arguments.size is None:
        return experiment
    width, separator, height = arguments.size.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise UserError(f"--size {arguments.size}: expected WxH in pixels, such as 512x256")
    values = {"height": height, "width": width, "crop_h": "null", "crop_w": "null"}
    overrides += [
        f"data.{role}.{key}={value}" for role in experiment.config.data.datasets for key, value in values.items()
    ]
    return chosen_experiment(arguments, purpose=purpose, overrides=overrides)


def measure(arguments: argparse.Namespace, experiment: Experiment) -> dict[str, Any]:
    """The result of the kind of benchmark asked for."""
    # PyTorch, which takes seconds that a mistake in the experiment need not cost
    from training.benchmark.evaluate import evaluate
    from training.benchmark.loader import loader
    from training.benchmark.memory import memory
    from training.benchmark.step import step
    from training.device import choose_device, set_switches

    device = choose_device(arguments.device)
    set_switches(device, benchmark=experiment.config.training.benchmark, detect_anomaly=False)
    match arguments.kind:
        case "step":
            return step(experiment, device, repeats=arguments.repeats)
        case "evaluate":
            return evaluate(experiment, device, images=arguments.images, repeats=arguments.repeats)
        case "loader":
            samples, workers = arguments.samples, arguments.workers
            return loader(experiment, samples=samples, repeats=arguments.repeats, workers=workers)
        case _:
            return memory(experiment, device)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    for option in ("repeats", "images", "samples"):
        if getattr(arguments, option, 1) < 1:
            raise UserError(f"--{option} {getattr(arguments, option)}: expected 1 or more")
    try:
        print(json.dumps(measure(arguments, load(arguments))))
    except ValueError as error:  # such as the network's own check of its batch
        raise UserError(str(error)) from error


def main() -> int:
    """The command; returns its exit status."""
    arguments = build_parser().parse_args()
    return run_command(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
