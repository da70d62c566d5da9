"""From an experiment to what a run needs: the network, the setting that trains it, the evaluator that measures it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dataset.base import DenseDataset
from dataset.experiment import Datasets, open_dataset, open_datasets, pose_sees_uncropped, validation_use
from loss.build import build_loss
from loss.build_video import build_photometric
from metrics.build import build_metric
from metrics.delta import baselines_in_percent
from models.build import build_model
from models.decoder import Decoder
from models.discriminator import Discriminator
from models.encoder import Encoder
from models.feature_distance import FeatureDistance
from models.folding import fold_batch_norms
from models.published import load_weights, read_weights
from optim.build import build_optimizer, build_scheduler, parameter_groups
from training.adaptation import Adaptation, AdaptationOptions, Aligned
from training.decode import build_decoder
from training.distributed import Processes
from training.evaluate import Evaluator, Measure
from training.panels import Painter
from training.precision import Precision
from training.setting import Engine, Setting
from training.supervised import Supervised
from training.video_depth import VideoDepthTraining
from utils.config.load import Experiment
from utils.config.schema import Config, OptimConfig, OptimKwargs, SchedulerConfig, SchedulerKwargs
from utils.errors import UserError

# How discriminators learn, whatever the network's optimizer (DenseMTL paper, sec. 4.4; ADVENT).
DISCRIMINATOR_OPTIMIZER = OptimConfig(name="Adam", kwargs=OptimKwargs(betas=(0.9, 0.99)))
DISCRIMINATOR_SCHEDULE = SchedulerConfig(name="poly", kwargs=SchedulerKwargs(power=0.9))


def build_network(experiment: Experiment, device: torch.device, *, weights: Path) -> nn.Module:
    """The network of an experiment with weights from a file, to predict with on the device: its batch norms are folded.

    Raises:
        UserError: Weights that are missing, damaged or do not fit.
    """
    config = experiment.config
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids)
    load_weights(network, read_weights(weights), config.setup)
    return fold_batch_norms(_place(network, config, device))


def build_evaluator(
    experiment: Experiment,
    network: nn.Module,
    device: torch.device,
    processes: Processes,
    *,
    debug: bool = False,
    dataset: DenseDataset | None = None,
) -> Evaluator:
    """What measures a network on `dataset` (default: the experiment's validation split); more as in `build_setting`.

    Raises:
        UserError: The dataset is not there, or not as it should be.
    """
    config = experiment.config
    if dataset is None:
        dataset = open_dataset(experiment, validation_use(config))
    baselines = config.loss.kwargs.baselines
    return Evaluator(
        network=network,
        dataset=dataset,
        loss=build_loss(config.loss),
        measures=_measures(config, dataset, device),
        decoder=build_decoder(config.loss),
        painter=Painter(dataset.class_colors),
        precision=_precision(config, device),
        processes=processes,
        device=device,
        options=Evaluator.Options(
            batch_size=config.data.valid_bs,
            workers=config.training.n_workers,
            channels_last=config.training.channels_last,
            n_logged=config.data.n_valid_logged,
            limit=config.data.valid_bs * processes.world_size if debug else None,
            baselines=baselines_in_percent(baselines) if baselines else None,
            gammas=config.loss.kwargs.gammas,
        ),
    )


def build_setting(
    experiment: Experiment,
    device: torch.device,
    processes: Processes,
    *,
    resumes: bool,
    debug: bool = False,
    datasets: Datasets | None = None,
) -> tuple[Setting, Evaluator]:
    """The way of training that an experiment asks for, and the evaluator of its network.

    Args:
        experiment: The experiment.
        device: Where to train.
        processes: This process's place.
        resumes: The weights come from a checkpoint, so pretrained ones are not fetched.
        debug: Validate one batch only.
        datasets: What to train on; default: the experiment's.

    Raises:
        UserError: Data or pretrained weights that are not there, options that do not go together.
    """
    config = experiment.config
    datasets = datasets or open_datasets(experiment)
    network = build_model(
        config.setup,
        pretrained=not resumes,
        download_dir=Path(os.environ.get("DOWNLOAD_DIR") or "downloads"),
        frame_ids=config.data.source.frame_ids,
    )
    network = _place(network, config, device)
    _checkpoint_activations(network, config)
    processes.broadcast_(network.state_dict().values())
    evaluator = build_evaluator(experiment, network, device, processes, debug=debug, dataset=datasets.validation)
    optimizer = build_optimizer(config.optim, parameter_groups(network, config.setup.lr), device=device)
    engine = Engine(
        optimizer=optimizer,
        scheduler=build_scheduler(config.scheduler, optimizer, iterations=config.training.iterations),
        precision=evaluator.precision,
        processes=processes,
        max_norm=config.optim.clip_grad_norm,
    )
    forward = _runner(network, config)
    if config.setup.is_video_depth:
        setting = VideoDepthTraining(
            model=network,
            forward=forward,
            loss=evaluator.loss,
            photometric=build_photometric(config.loss, config.data.source.frame_ids),
            feature_distance=_feature_distance(config, device),
            uncropped_pose=pose_sees_uncropped(config),
            dataset=datasets.train,
            engine=engine,
        )
    elif config.training.da is not None:
        setting = _adaptation(experiment, network, forward, datasets, evaluator, engine)
    else:
        setting = Supervised(model=network, forward=forward, loss=evaluator.loss, dataset=datasets.train, engine=engine)
    return setting, evaluator


def _adaptation(
    experiment: Experiment,
    network: nn.Module,
    forward: Callable[..., Any],
    datasets: Datasets,
    evaluator: Evaluator,
    engine: Engine,
) -> Adaptation:
    """Domain adaptation: a discriminator with its optimizer for every aligned (task, scale)."""
    config = experiment.config
    da = config.training.da
    channels = {task: section.kwargs.num_out_ch for task, section in config.setup.model.tasks.items()}
    outputs = [(task, scale) for task in config.setup.tasks for scale in da.ent_align] if da.start is not None else []
    horizon = config.training.max_iterations or config.training.iterations
    aligned = []
    for task, scale in outputs:
        discriminator = Discriminator(in_channels=channels[task])
        discriminator = _place(discriminator, config, evaluator.device)
        engine.processes.broadcast_(discriminator.state_dict().values())
        optimizer = build_optimizer(
            DISCRIMINATOR_OPTIMIZER, parameter_groups(discriminator, {"default": da.lr_D}), device=evaluator.device
        )
        scheduler = build_scheduler(DISCRIMINATOR_SCHEDULE, optimizer, iterations=horizon)
        aligned.append(Aligned(task, scale, discriminator, optimizer, scheduler))
    return Adaptation(
        model=network,
        forward=forward,
        loss=evaluator.loss,
        source=datasets.train,
        target=datasets.target,
        aligned=aligned,
        options=AdaptationOptions(
            start=da.start, adversarial_weight=da.lambda_adv_ent, discriminator_weight=da.lambda_disc_ent
        ),
        engine=engine,
    )


def _feature_distance(config: Config, device: torch.device) -> FeatureDistance | None:
    """The frozen ImageNet encoder to stay near; needed by every training, resumed or not."""
    model = config.setup.model
    if not model.feature_dist:
        return None
    reference = Encoder(name=model.backbone, use_dilation=model.use_dilation)
    reference.load_imagenet()
    return FeatureDistance(reference=_place(reference, config, device))


def _measures(config: Config, dataset: DenseDataset, device: torch.device) -> dict[str, Measure]:
    """A metric for every supervised scale of every task; depth from video also without median scaling."""
    measures = {}
    for task, section in config.loss.tasks.items():
        scalings = {"": None, "_unscaled": False} if task == "disp" else {"": None}
        for scale in sorted(section.scales):
            for suffix, median_scaling in scalings.items():
                metric = build_metric(
                    task,
                    section,
                    class_names=dataset.class_names,
                    subsets=_class_subsets(dataset.class_names),
                    median_scaling=median_scaling,
                )
                measures[f"{task}_{scale}{suffix}"] = Measure(task, scale, metric.to(device))
    return measures


def _class_subsets(class_names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Subsets of classes over which a second mIoU is usual: of the 16 shared with SYNTHIA, the 13 that are not thin."""
    if len(class_names) != 16:
        return {}
    return {"13": tuple(i for i, name in enumerate(class_names) if name not in ("wall", "fence", "pole"))}


def _precision(config: Config, device: torch.device) -> Precision:
    return Precision(device=device, use_amp=config.training.use_amp, amp_dtype=config.training.amp_dtype)


def _place(network: nn.Module, config: Config, device: torch.device) -> nn.Module:
    """Move a network to the device, in the memory format its convolutions are fastest in."""
    if config.training.sync_bn:
        if device.type != "cuda":
            raise UserError(
                "training.sync_bn: PyTorch's synchronised batch norm needs GPUs; set it to false on the CPU"
            )
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    memory_format = torch.channels_last if config.training.channels_last else torch.contiguous_format
    return network.to(device=device, memory_format=memory_format)


def _checkpoint_activations(network: nn.Module, config: Config) -> None:
    for part in network.modules():
        if isinstance(part, Encoder | Decoder):
            part.checkpoints_activations = config.training.activation_checkpointing


def _runner(network: nn.Module, config: Config) -> Callable[..., Any]:
    """How training runs the network: compiled where asked for. The network itself keeps its plain weight names."""
    return torch.compile(network) if config.training.compile else network
