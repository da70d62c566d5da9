"""The runs a user starts: train, evaluate. Each builds its parts in the order that reveals mistakes earliest."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.weights import read_weights
from training.build import build_evaluator, build_network, build_strategy
from training.device import choose_device, set_switches
from training.distributed import Processes
from training.loggers import JsonLinesLogger, Logger
from training.loop import Loop
from training.run_folder import RunFolder, experiment_folder, latest_run_folder, new_run_folder
from training.run_record import open_session, recorded
from training.state import Progress, State, load_state
from training.strategy import Strategy
from utils.config.load import Experiment, changed_keys
from utils.config.yaml_io import read_mapping, write_mapping
from utils.console import LOGGER
from utils.errors import UserError
from utils.files import save_json
from utils.seed import seed_everything

# What `--debug` changes in the section `training`: of the files that would be deleted, only the state is written.
DEBUG = {"iterations": 1, "save_model": False, "save_finished_model": False}


@dataclass(frozen=True)
class Options:
    """The options of a run besides its experiment file."""

    device: str | None  # None chooses
    project: str | None  # of W&B; None turns it off
    resume: bool  # continue the newest run of this experiment
    debug: bool  # one training step and one validation batch, no run folder kept
    weights: Path | None  # that training starts from; None: pretrained ones, as the config says
    partial: bool  # the tasks of `weights` may differ from the experiment's


def train(experiment: Experiment, options: Options, processes: Processes) -> None:
    """Train an experiment from the start or, with `resume`, from the state of its newest run.

    Called on all processes that train together.

    Raises:
        UserError: The user's mistake, before anything is written where possible.
        Stopped: A signal stopped the run after its state was saved.
    """
    device = choose_device(options.device)
    config = experiment.config
    set_switches(device, benchmark=config.training.benchmark, detect_anomaly=config.training.detect_anomaly)
    session = open_session(device=device, processes=processes.world_size, weights=options.weights)
    weights = read_weights(options.weights) if options.weights else None
    # Found once, so that all processes read the same
    folder = processes.from_main(latest_run_folder(experiment) if options.resume and processes.is_main else None)
    state = load_state(folder.resume) if folder else None
    seed_everything(config.training.seed)  # the same first weights on every process
    strategy, evaluator = build_strategy(
        experiment,
        device,
        processes,
        resumes=folder is not None,
        weights=weights,
        partial=options.partial,
        debug=options.debug,
    )
    progress, random = (Progress(), None) if state is None else _restore(state, strategy, experiment, folder, processes)
    seed_everything(config.training.seed + processes.rank)  # from here on a seed per process, so that dropout differs
    with (
        _run_folder(experiment, folder, progress, processes, debug=options.debug) as folder,
        _loggers(experiment, folder, options, progress, processes) as loggers,
        recorded(folder.record, session) if processes.is_main else nullcontext(),
    ):
        LOGGER.info("%s %s on %s: %s", "resuming" if state else "training", experiment.name, device, folder.path)
        loop = Loop(
            strategy=strategy,
            evaluator=evaluator,
            folder=folder,
            training=config.training.model_copy(update=DEBUG) if options.debug else config.training,
            data=config.data,
            progress=progress,
            random=random,
            loggers=loggers,
            processes=processes,
            device=device,
        )
        result = loop.run()
    if processes.is_main and result is not None:
        LOGGER.info("%s", result.table())
        LOGGER.info("done: %s", "debug run, nothing kept" if options.debug else folder.path)


def _restore(
    state: State, strategy: Strategy, experiment: Experiment, folder: RunFolder, processes: Processes
) -> tuple[Progress, list[dict[str, Any]] | None]:
    """Restore the state of a run; returns its progress and its generators' states.

    A resumed run may mix two configs, hence the warning. With another number of processes it cannot continue exactly:
    it continues with other batches, near the image where the run stopped, and with new generators.
    """
    progress, strategy_state, random = state
    changed = changed_keys(read_mapping(folder.config), experiment.raw) if folder.config.exists() else []
    if changed:
        LOGGER.warning(
            "--resume: the config differs from %s in %s; the run continues with the new one, except for learning "
            "rates, which the checkpoint brings", folder.config, ", ".join(changed),
        )  # fmt: skip
    strategy.load_state_dict(strategy_state)
    if progress.world_size == processes.world_size:
        return progress, random
    if not experiment.config.training.allow_world_size_change:
        raise UserError(
            f"--resume: the run trained on {progress.world_size} process(es), this is {processes.world_size}; start "
            f"{progress.world_size}, or accept other batches with --set training.allow_world_size_change=true"
        )
    for name, batches in progress.batches.items():
        progress.batches[name] = batches * progress.world_size // processes.world_size
    return progress, None


@contextmanager
def _run_folder(
    experiment: Experiment, resumed: RunFolder | None, progress: Progress, processes: Processes, *, debug: bool
) -> Iterator[RunFolder]:
    """The folder of the run; removed afterwards if it holds nothing to keep: after a debug run or no step at all."""
    folder = resumed
    if folder is None:
        if processes.is_main:
            temporary = RunFolder(Path(tempfile.mkdtemp(prefix="densemtl-debug-"))) if debug else None
            folder = temporary or new_run_folder(experiment)
        folder = processes.from_main(folder)
    try:
        yield folder
    finally:
        if processes.is_main and (debug or progress.step == 0):
            shutil.rmtree(folder.path, ignore_errors=True)


@contextmanager
def _loggers(
    experiment: Experiment, folder: RunFolder, options: Options, progress: Progress, processes: Processes
) -> Iterator[list[Logger]]:
    """The loggers of the main process: the log file and, unless it is off, W&B; the other processes have none."""
    if not processes.is_main:
        yield []
        return
    write_mapping(experiment.raw, folder.config)
    with ExitStack() as opened:
        loggers: list[Logger] = [opened.enter_context(closing(JsonLinesLogger(folder.log, start_step=progress.step)))]
        if options.project is not None and not options.debug:
            from training.wandb_logger import WandbLogger  # importing wandb takes seconds that `-w` saves

            wandb_logger = WandbLogger(
                project=options.project,
                name="/".join(experiment_folder(experiment).parts[-3:]),
                folder=folder.path,
                config=experiment.raw,
                run_id=progress.wandb_id,
            )
            progress.wandb_id = wandb_logger.run_id
            loggers.append(opened.enter_context(closing(wandb_logger)))
        yield loggers


def evaluate(experiment: Experiment, weights: Path, options: Options, processes: Processes) -> None:
    """Benchmark weights on the validation split; figures, config, record and panels go to a new run folder.

    Called on all processes that share the images.

    Raises:
        UserError: Weights that do not fit, data that is not there.
    """
    device = choose_device(options.device)
    config = experiment.config
    set_switches(device, benchmark=config.training.benchmark, detect_anomaly=False)
    seed_everything(config.training.seed)
    session = open_session(device=device, processes=processes.world_size, weights=weights)
    network = build_network(experiment, device, weights=weights)
    evaluator = build_evaluator(experiment, device, processes, debug=options.debug)
    LOGGER.info("evaluating %s on %d images of %s (%s)", weights, len(evaluator.dataset),
                config.data.validation.dataset, device)  # fmt: skip
    result = evaluator.run(network)
    if processes.is_main:
        LOGGER.info("%s", result.table())
        if not options.debug:
            folder = new_run_folder(experiment, evaluation=True)
            with recorded(folder.record, session):
                write_mapping(experiment.raw, folder.config)
                save_json(folder.metrics, result.as_json(step=None))
                result.write_panels(folder.panels, step=None)
            LOGGER.info("done: %s", folder.path)
