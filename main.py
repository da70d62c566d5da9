"""Train, benchmark and apply DenseMTL: reads the command line and hands over to `training`."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.command import one_speaks, run_command
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.load import Experiment
from utils.console import setup_console
from utils.errors import UserError
from utils.version import VersionAction

if TYPE_CHECKING:
    from training.distributed import Processes


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="main.py", description="Train (default), --evaluate or --predict with a dense multi-task network."
    )
    parser.add_argument("--version", action=VersionAction, help="print the version and the commit, and exit")
    add_experiment_options(parser)
    parser.add_argument("--project", default="DenseMTL", metavar="NAME", help="W&B project (default: %(default)s)")
    parser.add_argument("-w", "--disable-wandb", action="store_true", help="do not use W&B")
    parser.add_argument("-s", "--seed", type=int, help="training and dataset seed (default: the config's, 42)")
    parser.add_argument("-d", "--debug", action="store_true", help="one step, one validation batch, nothing kept")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: CUDA where there is one)")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", action="store_true", help="continue the newest run of this experiment and seed")
    action.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="benchmark weights on the validation split")
    action.add_argument("--predict", nargs="+", metavar="INPUT", help="apply --weights to images, folders or globs")
    parser.add_argument("--weights", type=Path, metavar="WEIGHTS", help="with --predict: the weights")
    parser.add_argument("--output", type=Path, metavar="DIR", help="with --predict: where the results go")
    parser.add_argument("--raw", action="store_true", help="with --predict: also the network's output as <stem>.npz")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if arguments.predict and not (arguments.weights and arguments.output):
        raise UserError("--predict needs --weights WEIGHTS and --output DIR")
    if not arguments.predict and (arguments.weights or arguments.output or arguments.raw):
        raise UserError("--weights, --output and --raw go with --predict (to benchmark weights: --evaluate WEIGHTS)")
    if arguments.debug and arguments.resume:
        raise UserError("--debug keeps nothing, so there is nothing it could --resume; leave out one of them")
    if arguments.predict and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError("--predict: runs in a single process; start it with python instead of torchrun")


def act(arguments: argparse.Namespace, experiment: Experiment, processes: "Processes") -> None:
    """Do what the command line asks."""
    from training.predict import predict
    from training.run import Options, evaluate, train

    setup_console(quiet=not processes.is_main)
    options = Options(
        device=arguments.device,
        project=None if arguments.disable_wandb else arguments.project,
        resume=arguments.resume,
        debug=arguments.debug,
    )
    if arguments.predict:
        predict(
            experiment,
            arguments.predict,
            weights=arguments.weights,
            output=arguments.output,
            raw=arguments.raw,
            device=arguments.device,
        )
    elif arguments.evaluate:
        evaluate(experiment, arguments.evaluate, options, processes)
    else:
        train(experiment, options, processes)
    processes.close()


def run() -> int:
    """Read and check the command line and the experiment, then do what they ask; gives the exit status."""
    with one_speaks():
        arguments = build_parser().parse_args()
        check(arguments)
        setup_console()
        purpose = "predict" if arguments.predict else "evaluate" if arguments.evaluate else "train"
        experiment = chosen_experiment(arguments, purpose=purpose, seed=arguments.seed)
    # `training` loads PyTorch, whose seconds help and mistakes need not cost
    from training.distributed import join_processes

    processes = join_processes()
    return run_command(lambda: act(arguments, experiment, processes), say=processes.last_word)


def main() -> int:
    """Run; exit status 0 done, 2 the user's mistake, 1 a failure, 128 + n stopped by signal n."""
    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
