"""Train, benchmark and apply DenseMTL: reads the command line and hands over to `training`."""

import argparse
import sys
from pathlib import Path

from training.distributed import PeerLost, Processes, join_processes
from training.export import export_weights
from training.loop import Diverged
from training.predict import predict
from training.run import Options, evaluate, train
from training.run_folder import find_weights
from training.stop import Stopped
from utils.config.command_line import add_experiment_options, chosen_experiment
from utils.config.load import RUN_CONFIG
from utils.console import setup_console
from utils.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Train (default), --evaluate, --predict or --export-weights with a dense multi-task network.",
        epilog="WEIGHTS is a file, in this project's or the published naming, or the folder of a run, whose cfg.yml "
        "then takes the place of --config.",
    )
    add_experiment_options(parser, config_required=False)
    parser.add_argument("--project", default="DenseMTL", metavar="NAME", help="W&B project (default: %(default)s)")
    parser.add_argument("-w", "--disable-wandb", action="store_true", help="do not use W&B")
    parser.add_argument("-s", "--seed", type=int, help="training and dataset seed (default: the config's, 42)")
    parser.add_argument("-d", "--debug", action="store_true", help="one step, one validation batch, nothing kept")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: CUDA where there is one)")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", action="store_true", help="continue the newest run of this experiment and seed")
    action.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="benchmark weights on the validation split")
    action.add_argument("--predict", nargs="+", metavar="INPUT", help="apply --weights to images, folders or globs")
    action.add_argument("--export-weights", type=Path, metavar="FILE", help="write --weights for the published code")
    parser.add_argument("--weights", type=Path, metavar="WEIGHTS", help="what to train from, predict with or export")
    parser.add_argument("--weights-partial", action="store_true", help="training: --weights may have other tasks")
    parser.add_argument("--output", type=Path, metavar="DIR", help="with --predict: where the results go")
    parser.add_argument("--raw", action="store_true", help="with --predict: also the network's output as <stem>.npz")
    return parser


def check_options(arguments: argparse.Namespace, processes: Processes) -> None:
    """Raise a UserError where options do not go together."""
    predicts, exports, starts = bool(arguments.predict), bool(arguments.export_weights), bool(arguments.weights)
    trains = not (predicts or exports or arguments.evaluate)
    refusals = {
        "--predict needs --weights WEIGHTS and --output DIR": predicts and not (starts and arguments.output),
        "--output and --raw go with --predict": not predicts and (arguments.output or arguments.raw),
        "--export-weights needs --weights WEIGHTS": exports and not starts,
        "--evaluate WEIGHTS names the weights itself; leave out --weights": arguments.evaluate and starts,
        "--resume goes on from the run's own state; leave out --weights": arguments.resume and starts,
        "--weights-partial goes with --weights in training": arguments.weights_partial and not (trains and starts),
        "--debug keeps nothing, so there is nothing it could --resume; leave out one of them": arguments.debug
        and arguments.resume,
        "--predict and --export-weights run in a single process; start them with python instead of torchrun": (
            predicts or exports
        )
        and processes.is_distributed,
    }
    for message, applies in refusals.items():
        if applies:
            raise UserError(message)


def run(arguments: argparse.Namespace, processes: Processes) -> None:
    """Do what the command line asks."""
    check_options(arguments, processes)
    weights = arguments.weights or arguments.evaluate
    if weights:
        weights = find_weights(weights)
        beside = weights.with_name(RUN_CONFIG)
        arguments.config = arguments.config or (beside if beside.is_file() else None)
    if arguments.config is None:
        raise UserError("--config FILE is missing: the experiment file, unless WEIGHTS are those of a run folder")
    without_data = arguments.predict or arguments.export_weights
    needs = "predict" if without_data else "evaluate" if arguments.evaluate else "train"
    experiment = chosen_experiment(arguments, purpose=needs, seed=arguments.seed)
    options = Options(
        device=arguments.device,
        project=None if arguments.disable_wandb else arguments.project,
        resume=arguments.resume,
        debug=arguments.debug,
        weights=weights,
        partial=arguments.weights_partial,
    )
    if arguments.predict:
        predict(
            experiment,
            arguments.predict,
            weights=weights,
            output=arguments.output,
            raw=arguments.raw,
            device=arguments.device,
        )
    elif arguments.evaluate:
        evaluate(experiment, weights, options, processes)
    elif arguments.export_weights:
        export_weights(experiment, weights, arguments.export_weights)
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
