"""From an experiment to what a run needs: the network, the strategy that trains it, the evaluator that measures it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dataset.base import DenseDataset
from dataset.experiment import Datasets, open_dataset, open_datasets, pose_sees_uncropped, validation_use
from dataset.labels import label_set
from loss.build import build_loss, build_photometric
from models.build import build_model
from models.decoder import Decoder
from models.discriminator import Discriminator
from models.encoder import Encoder
from models.feature_distance import FeatureDistance
from models.network import Predictions
from models.video_depth import VideoDepth
from models.weights import read_weights
from optim.build import build_optimizer, build_scheduler
from optim.groups import parameter_groups
from training.adaptation import Adaptation, Aligned
from training.device import runs_channels_last
from training.distributed import Processes
from training.evaluator import Evaluator
from training.precision import Precision
from training.strategy import Engine, Strategy
from training.supervised import Supervised
from training.tasks import Task, build_tasks
from training.video_depth import VideoDepthTraining
from training.weights import load_network_weights, start_from
from utils.config.load import Experiment
from utils.config.schema import Config
from utils.config.schema.optim import AdamConfig, AdamKwargs, PolyKwargs, PolyScheduler
from utils.config.schema.training import AdaptationConfig
from utils.console import LOGGER
from utils.errors import UserError

Network = TypeVar("Network", bound=nn.Module)

# How discriminators learn, whatever the network's optimizer (DenseMTL paper, sec. 4.4; ADVENT).
DISCRIMINATOR_OPTIMIZER = AdamConfig(name="Adam", kwargs=AdamKwargs(betas=(0.9, 0.99)))
DISCRIMINATOR_SCHEDULE = PolyScheduler(name="poly", kwargs=PolyKwargs(power=0.9))


def build_network(experiment: Experiment, device: torch.device, *, weights: Path) -> nn.Module:
    """The network of an experiment with weights from a file, in evaluation mode on the device.

    Raises:
        UserError: Weights that are missing, damaged or do not fit.
    """
    config = experiment.config
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids)
    _require_size(network, config)
    load_network_weights(network, read_weights(weights), config.setup)
    return _place(network, config, device, trains=False).eval()


def build_evaluator(
    experiment: Experiment,
    device: torch.device,
    processes: Processes,
    *,
    trains: bool = False,
    debug: bool = False,
    dataset: DenseDataset | None = None,
) -> Evaluator:
    """The evaluator of networks on `dataset` (default: the experiment's validation split); see `build_strategy`.

    Args:
        trains: Whether the run trains; the images then have its memory format.

    Raises:
        UserError: The dataset is missing or damaged.
    """
    config = experiment.config
    labels = label_set(config.data.validation.dataset, config.data.validation.n_classes)
    tasks = build_tasks(config.setup.loss, labels)
    return Evaluator(
        dataset=open_dataset(experiment, validation_use(config)) if dataset is None else dataset,
        loss=build_loss(config.setup.loss),
        tasks=tasks,
        scales={task: section.kwargs.scales for task, section in config.setup.loss.tasks.items()},
        precision=Precision(device=device, use_amp=config.training.use_amp, amp_dtype=config.training.amp_dtype),
        processes=processes,
        device=device,
        batch_size=config.data.valid_bs,
        workers=config.training.n_workers,
        channels_last=runs_channels_last(config.training.channels_last, device, trains=trains),
        n_logged=config.data.n_valid_logged,
        limit=config.data.valid_bs * processes.world_size if debug else None,
        baselines=_baselines(config, tasks),
    )


def build_strategy(
    experiment: Experiment,
    device: torch.device,
    processes: Processes,
    *,
    resumes: bool,
    weights: Mapping[str, Tensor] | None = None,
    partial: bool = False,
    debug: bool = False,
    datasets: Datasets | None = None,
) -> tuple[Strategy, Evaluator]:
    """The way of training that an experiment asks for, and the evaluator of its network.

    Args:
        resumes: The weights come from a checkpoint, so pretrained ones are not fetched.
        weights: Weights to start from instead of pretrained ones, in our or the published naming.
        partial: Their tasks may differ from the experiment's.
        debug: Validate one batch only.
        datasets: The data to train on; default: the experiment's.

    Raises:
        UserError: Missing data or pretrained weights, weights that do not fit, options that do not go together.
    """
    config = experiment.config
    datasets = datasets or open_datasets(experiment)
    network = build_model(
        config.setup,
        pretrained=not resumes and weights is None,
        download_dir=Path(os.environ.get("DOWNLOAD_DIR") or "downloads"),
        frame_ids=config.data.source.frame_ids,
    )
    _require_size(network, config)
    if weights is not None:
        untrained = start_from(network, weights, config.setup, partial=partial)
        LOGGER.info("the network starts from the weights; untrained parts: %s", ", ".join(untrained) or "none")
    network = _place(network, config, device)
    for part in network.modules():
        if isinstance(part, Encoder | Decoder):
            part.checkpoints_activations = config.training.activation_checkpointing
    processes.broadcast_(network.state_dict().values())
    evaluator = build_evaluator(experiment, device, processes, trains=True, debug=debug, dataset=datasets.validation)
    optimizer = build_optimizer(config.optim, parameter_groups(network, config.setup.lr), device=device)
    engine = Engine(
        optimizer=optimizer,
        scheduler=build_scheduler(config.scheduler, optimizer, iterations=config.training.iterations),
        precision=evaluator.precision,
        processes=processes,
        max_norm=config.optim.clip_grad_norm,
    )
    # The compiled form is for training alone, so that the network keeps its plain weight names.
    photometric = config.setup.loss.photometric
    if isinstance(network, VideoDepth) and photometric is not None:
        forward_video = torch.compile(network.forward_video) if config.training.compile else network.forward_video
        return VideoDepthTraining(
            model=network,
            forward=forward_video,
            loss=evaluator.loss,
            photometric=build_photometric(photometric, config.data.source.frame_ids),
            feature_distance=_feature_distance(config, device),
            uncropped_pose=pose_sees_uncropped(config),
            datasets={"source": datasets.train},
            engine=engine,
        ), evaluator
    forward = torch.compile(network) if config.training.compile else network
    if config.training.da is not None:
        return _adaptation(config, config.training.da, network, forward, datasets, evaluator, engine), evaluator
    streams = {"source": datasets.train}
    return Supervised(model=network, forward=forward, loss=evaluator.loss, datasets=streams, engine=engine), evaluator


def _adaptation(
    config: Config,
    da: AdaptationConfig,
    network: nn.Module,
    forward: Callable[[Tensor], Predictions],
    datasets: Datasets,
    evaluator: Evaluator,
    engine: Engine,
) -> Adaptation:
    """Domain adaptation: a discriminator with its optimizer for every aligned (task, scale)."""
    outputs = [(task, scale) for task in config.setup.tasks for scale in da.ent_align] if da.start is not None else []
    horizon = config.training.max_iterations or config.training.iterations
    aligned = []
    for task, scale in outputs:
        discriminator = Discriminator(in_channels=config.setup.model.tasks[task].kwargs.num_out_ch)
        discriminator = _place(discriminator, config, evaluator.device)
        engine.processes.broadcast_(discriminator.state_dict().values())
        groups = [{"params": discriminator.parameters(), "lr": da.lr_D}]
        optimizer = build_optimizer(DISCRIMINATOR_OPTIMIZER, groups, device=evaluator.device)
        scheduler = build_scheduler(DISCRIMINATOR_SCHEDULE, optimizer, iterations=horizon)
        aligned.append(Aligned(task, scale, discriminator, optimizer, scheduler))
    return Adaptation(
        model=network,
        forward=forward,
        loss=evaluator.loss,
        datasets={"source": datasets.train} | ({"target": datasets.target} if datasets.target else {}),
        aligned=aligned,
        tasks=evaluator.tasks,
        start=da.start,
        adversarial_weight=da.lambda_adv_ent,
        discriminator_weight=da.lambda_disc_ent,
        engine=engine,
    )


def _feature_distance(config: Config, device: torch.device) -> FeatureDistance | None:
    """The distance to the frozen ImageNet encoder, which every training needs, resumed or not."""
    model = config.setup.model
    if not model.feature_dist:
        return None
    reference = Encoder(name=model.backbone, use_dilation=model.dilation)
    reference.load_imagenet()
    return FeatureDistance(reference=_place(reference, config, device))


def _baselines(config: Config, tasks: Mapping[str, Task]) -> dict[str, float] | None:
    """The references of delta_m, fractions in percent; warns about values that are not taken as written."""
    given, where = config.setup.loss.kwargs, "setup.loss.kwargs"
    for name, gamma in (given.gammas or {}).items():
        if bool(gamma) != tasks[name].lower_is_better:
            better = "lower" if tasks[name].lower_is_better else "higher"
            LOGGER.warning("%s.gammas.%s: %d is ignored: of %s %s is better", where, name, gamma, name, better)
    baselines: dict[str, float] = {}
    for name, value in (given.baselines or {}).items():
        baselines[name] = value
        if tasks[name].in_percent and value <= 1:
            baselines[name] = 100 * value
            LOGGER.warning("%s.baselines.%s: %g is read as a fraction, that is %g %%", where, name, value, 100 * value)
    return baselines or None


def _require_size(network: nn.Module, config: Config) -> None:
    """Raise a UserError for images whose coarsest maps a skip decoder cannot pad by reflection."""
    least = 2 * config.setup.model.output_stride
    height, width = config.data.source.output_size
    if min(height, width) < least and any(isinstance(module, Decoder) for module in network.modules()):
        raise UserError(f"data: images of {width}x{height} are too small, each side needs {least} pixels or more")


def _place(network: Network, config: Config, device: torch.device, *, trains: bool = True) -> Network:
    """Move a network to the device, in the memory format of the run."""
    if config.training.sync_bn and device.type != "cuda":
        raise UserError("training.sync_bn: PyTorch's synchronised batch norm needs GPUs; set it to false on the CPU")
    if config.training.sync_bn:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # in place
    last = runs_channels_last(config.training.channels_last, device, trains=trains)
    network.to(device)
    return network.to(memory_format=torch.channels_last if last else torch.contiguous_format)
