"""Train, benchmark and apply DenseMTL: reads the command line and hands over to `training`."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.command import one_reports, run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.environment import export_constants
from utils.config.load import RUN_CONFIG, Experiment, Purpose
from utils.console import setup_console
from utils.errors import UserError
from utils.version import version

if TYPE_CHECKING:
    from training.distributed import Processes


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Train (default), --evaluate, --predict or --export-weights with a dense multi-task network.",
        epilog="WEIGHTS is a file, in this project's or the published naming, or the folder of a run: its best "
        "weights, else its last, and its cfg.yml in place of --config. What is not found as given is looked for under "
        "$MODELS. Exit status: 0 done, 1 a failure, 2 a mistake in command, config or data, 130 or 143 stopped by "
        "Ctrl-C or SIGTERM after saving.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and the commit, and exit")
    add_experiment_options(parser, config_required=False)

    action = parser.add_argument_group("what to do (default: train)").add_mutually_exclusive_group()
    action.add_argument(
        "--resume",
        action="store_true",
        help="continue the newest run of this dataset, config name and seed, in its folder, as if never stopped",
    )
    action.add_argument(
        "--evaluate",
        type=Path,
        metavar="WEIGHTS",
        help="measure weights on the validation split and write the figures to a folder of their own",
    )
    action.add_argument(
        "--predict",
        nargs="+",
        metavar="INPUT",
        help="apply --weights to your own images, folders of images or globs; needs no dataset",
    )
    export = "write --weights under the published names, for the paper's own code"
    action.add_argument("--export-weights", type=Path, metavar="FILE", help=export)

    weights = parser.add_argument_group("weights")
    weights.add_argument(
        "--weights",
        type=Path,
        metavar="WEIGHTS",
        help="what to predict with or export; in training, where to start from in place of the pretrained encoder: "
        "prediction layers of another number of classes start untrained (default: setup.model.pretrain of the config)",
    )
    weights.add_argument(
        "--weights-partial",
        action="store_true",
        help="in training: the tasks of --weights may be others; what both have is loaded, the rest is listed "
        "(default: refused, as it is most often a mistake)",
    )

    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, metavar="DIR", help="where --predict writes; required with it")
    raw = "with --predict: also the network's own numbers, <stem>.npz (default: pictures and maps only)"
    output.add_argument("--raw", action="store_true", help=raw)
    output.add_argument(
        "--project", default="DenseMTL", metavar="NAME", help="project on Weights & Biases (default: %(default)s)"
    )
    output.add_argument(
        "-w",
        "--disable-wandb",
        action="store_true",
        help="do not use Weights & Biases (default: used, offline without a network or login); the terminal and the "
        "files of the run folder have everything all the same",
    )

    run = parser.add_argument_group("run")
    run.add_argument(
        "-s",
        "--seed",
        type=int,
        help="seed of training and of the dataset's splits, for runs to compare (default: the config's, else 42)",
    )
    run.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: CUDA where there is one, else the CPU)"
    )
    debug = "one training step and one validation batch, nothing kept: finds mistakes before a long run does"
    run.add_argument("-d", "--debug", action="store_true", help=debug)
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that exclude or need each other."""
    predicts, exports, starts = bool(arguments.predict), bool(arguments.export_weights), bool(arguments.weights)
    trains = not (predicts or exports or arguments.evaluate)
    is_distributed = os.environ.get("WORLD_SIZE", "1") != "1"
    refusals = {
        "--predict needs --weights WEIGHTS and --output DIR": predicts and not (starts and arguments.output),
        "--output and --raw go with --predict": not predicts and (arguments.output or arguments.raw),
        "--export-weights needs --weights WEIGHTS": exports and not starts,
        "--evaluate WEIGHTS names the weights itself; leave out --weights": arguments.evaluate and starts,
        "--resume continues from the run's own state; leave out --weights": arguments.resume and starts,
        "--weights-partial goes with --weights in training": arguments.weights_partial and not (trains and starts),
        "--debug keeps nothing, so there is nothing it could --resume; leave out one of them": (
            arguments.debug and arguments.resume
        ),
        "--predict and --export-weights run in a single process; start them with python instead of torchrun": (
            (predicts or exports) and is_distributed
        ),
    }
    for message, applies in refusals.items():
        if applies:
            raise UserError(message)


def choose(arguments: argparse.Namespace) -> tuple[Experiment, Path | None]:
    """The experiment and the weights file that the command line names; a run folder brings both."""
    from training.run_folder import find_weights

    weights = arguments.weights or arguments.evaluate
    if weights is not None:
        export_constants(arguments.env_config)  # its path may name them
        weights = find_weights(weights)
        run_config = weights.with_name(RUN_CONFIG)
        arguments.config = arguments.config or (run_config if run_config.is_file() else None)
    if arguments.config is None:
        raise UserError("--config FILE is missing: the experiment file, unless WEIGHTS are those of a run folder")
    without_data = arguments.predict or arguments.export_weights
    purpose: Purpose = "predict" if without_data else "evaluate" if arguments.evaluate else "train"
    return chosen_experiment(arguments, purpose=purpose, seed=arguments.seed), weights


def act(arguments: argparse.Namespace, experiment: Experiment, weights: Path | None, processes: "Processes") -> None:
    """Do what the command line asks."""
    from training.export import export_weights
    from training.predict import predict
    from training.run import Options, evaluate, train

    setup_console(quiet=not processes.is_main)
    options = Options(
        device=arguments.device,
        project=None if arguments.disable_wandb else arguments.project,
        resume=arguments.resume,
        debug=arguments.debug,
        weights=weights,
        partial=arguments.weights_partial,
    )
    if not (arguments.predict or arguments.evaluate or arguments.export_weights):
        train(experiment, options, processes)
    else:
        assert weights is not None  # required by `check`
        if arguments.predict:
            inputs, output = arguments.predict, arguments.output
            predict(experiment, inputs, weights=weights, output=output, raw=arguments.raw, device=arguments.device)
        elif arguments.evaluate:
            evaluate(experiment, weights, options, processes)
        else:
            export_weights(experiment, weights, arguments.export_weights)
    processes.close()


def run() -> int:
    """Read and check the command line and the experiment, then do what they ask; returns the exit status."""
    with one_reports():
        arguments = build_parser().parse_args()
        if arguments.version:
            print(version())
            return 0
        check(arguments)
        setup_console()
        experiment, weights = choose(arguments)
    # `training` imports PyTorch, which takes seconds that help and mistakes need not cost
    from training.distributed import join_processes

    processes = join_processes()
    return run_command(lambda: act(arguments, experiment, weights, processes), say=processes.last_word)


def main() -> int:
    """Run; exit status 0 done, 2 the user's mistake, 1 a failure, 128 + n stopped by signal n."""
    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
