"""Train, benchmark and apply DenseMTL: reads the command line and hands over to `training`."""

import argparse
import sys
from pathlib import Path

from training.distributed import PeerLost, Processes, join_processes
from training.loop import Diverged
from training.predict import predict
from training.run import Options, evaluate, train
from training.stop import Stopped
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.console import setup_console
from utils.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="main.py", description="Train (default), --evaluate or --predict with a dense multi-task network."
    )
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


def run(arguments: argparse.Namespace, processes: Processes) -> None:
    """Do what the command line asks."""
    if arguments.predict and not (arguments.weights and arguments.output):
        raise UserError("--predict needs --weights WEIGHTS and --output DIR")
    if not arguments.predict and (arguments.weights or arguments.output or arguments.raw):
        raise UserError("--weights, --output and --raw go with --predict (to benchmark weights: --evaluate WEIGHTS)")
    if arguments.debug and arguments.resume:
        raise UserError("--debug keeps nothing, so there is nothing it could --resume; leave out one of them")
    if arguments.predict and processes.is_distributed:
        raise UserError("--predict: runs in a single process; start it with python instead of torchrun")
    needs = "predict" if arguments.predict else "evaluate" if arguments.evaluate else "train"
    experiment = chosen_experiment(arguments, purpose=needs, seed=arguments.seed)
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


def main() -> int:
    """Run and turn failures into exit statuses: 2 the user's mistake, 1 a failure, 128 + n a signal."""
    arguments = build_parser().parse_args()
    processes = Processes()
    try:
        processes = join_processes()
        setup_console(quiet=not processes.is_main)
        run(arguments, processes)
    except UserError as error:
        processes.last_word(f"error: {error}")
        return 2
    except (Diverged, PeerLost) as error:
        processes.last_word(f"failed: {error}")
        return 1
    except Stopped as stopped:
        processes.last_word(str(stopped))
        return 128 + stopped.signal
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
