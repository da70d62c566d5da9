"""From the `setup` section of a config to the network; no module of the networks themselves knows a config."""

from collections.abc import Sequence
from pathlib import Path

from models.baseline import Baseline
from models.decoder import Decoder, common_width
from models.deeplab import DeepLabHead
from models.densemtl import DenseMTL
from models.depth_archive import FILES, PROJECT, PUBLISHED_ARCHIVE, load_archive
from models.encoder import Encoder
from models.exchange import ExchangeBlock, ExchangeDesign
from models.network import MultiTaskNetwork
from models.padnet import PADNet, PADNetHead
from models.pose import PoseNet
from models.threeways import ThreeWays
from models.video_depth import VideoDepth, motion_counts
from models.weights import read_weights
from utils.config.schema.setup import AblationWord, HeadKwargs, PoseConfig, SetupConfig, TaskConfig
from utils.errors import UserError
from vendor.three_ways.aspp import ASPP

# How much coarser the attention runs at each decoder level, so that it always sees about 1/8 of the image's resolution.
ATTENTION_DOWNSCALE = {4: 1, 3: 1, 2: 2, 1: 4, 0: 8}

# Where the decoders of 3-Ways exchange features.
THREE_WAYS_SECTIONS = ((4, 3, 2), (1, 0))


def build_model(
    setup: SetupConfig,
    *,
    pretrained: bool,
    download_dir: Path = Path("downloads"),
    frame_ids: Sequence[int] = (0, -1, 1),
) -> MultiTaskNetwork | VideoDepth:
    """Build the network that a config asks for.

    Args:
        setup: the setup section.
        pretrained: load the weights that `setup.model.pretrain` names; False touches neither files nor network.
        download_dir: folder of the archives that `pretrain` may name (depth from video).
        frame_ids: the dataset's frames (depth from video).

    Returns:
        The multi-task network; for the `_monodepth` setups a `VideoDepth` around it.

    Raises:
        UserError: options that do not go together, or weights that are missing or do not fit.
    """
    try:
        network = _build_network(setup)
        model = _video_depth(network, setup, frame_ids) if setup.is_video_depth else network
    except ValueError as error:
        raise UserError(f"setup: {error}") from error
    if pretrained:
        _load_pretrained(network, model.pose_net if setup.is_video_depth else None, setup, download_dir)
    if setup.model.freeze_backbone:
        network.backbone.freeze()
    return model


def exchange_design(ablation: Sequence[AblationWord]) -> ExchangeDesign:
    """The exchange that the words of `setup.kwargs.ablation` describe."""
    return ExchangeDesign(
        attention="SxTAM" in ablation,
        self_attention="SA" in ablation,
        alpha="no_alpha" not in ablation,
        full_self_attention="full_sa" in ablation,
        combine="add" if "add" in ablation else "prod" if "prod" in ablation else "concat",
    )


def _build_network(setup: SetupConfig) -> MultiTaskNetwork:
    backbone = Encoder(name=setup.model.backbone, use_dilation=setup.model.dilation)
    tasks = setup.model.tasks
    if setup.method == "baseline":
        return Baseline(backbone=backbone, heads={task: _head(backbone, cfg) for task, cfg in tasks.items()})
    if setup.method == "padnet":
        return PADNet(backbone=backbone, heads={task: _padnet_head(backbone, cfg) for task, cfg in tasks.items()})

    heads = {task: _decoder(backbone, cfg.kwargs) for task, cfg in tasks.items()}
    if setup.method == "padnet+":
        # A decoder with a smaller n_upconv lacks the first levels.
        top = max(head.level_order[0] for head in heads.values())
        sections = [[level for level in section if level <= top] for section in THREE_WAYS_SECTIONS]
        return ThreeWays(backbone=backbone, heads=heads, sections=sections)
    return _densemtl(backbone, heads, setup)


def _densemtl(backbone: Encoder, heads: dict[str, Decoder], setup: SetupConfig) -> DenseMTL:
    design = exchange_design(setup.kwargs.ablation)
    exchanges = {
        level: ExchangeBlock(
            tasks=setup.tasks,
            channels=common_width(heads, level),
            downscale=ATTENTION_DOWNSCALE[level],
            design=design,
            source_order=setup.kwargs.source_order,
        )
        for level in setup.kwargs.stages
    }
    return DenseMTL(backbone=backbone, heads=heads, sections=setup.kwargs.enc_layers, exchanges=exchanges)


def _head(backbone: Encoder, cfg: TaskConfig) -> Decoder | DeepLabHead:
    if cfg.head == "padnet+":
        return _decoder(backbone, cfg.kwargs)
    return DeepLabHead(
        in_channels=backbone.channels[-1], num_out_ch=cfg.kwargs.num_out_ch, upsampling=backbone.reductions[-1]
    )


def _padnet_head(backbone: Encoder, cfg: TaskConfig) -> PADNetHead:
    return PADNetHead(
        in_channels=backbone.channels[-1],
        out_channels=cfg.kwargs.num_out_ch,
        auxiliary=cfg.auxiliary,
        is_regression=cfg.kwargs.is_regression,
    )


def _decoder(backbone: Encoder, kwargs: HeadKwargs) -> Decoder:
    num_ch_dec = kwargs.num_ch_dec[: kwargs.n_upconv + 1]
    aspp = None
    if kwargs.intermediate_aspp:
        aspp = ASPP(
            in_channels=backbone.channels[-1],
            out_channels=num_ch_dec[-1],
            rates=kwargs.aspp_rates,
            pooling=kwargs.aspp_pooling,
        )
    return Decoder(
        encoder_channels=backbone.channels,
        num_out_ch=kwargs.num_out_ch,
        active_scales=kwargs.active_scales,
        num_ch_dec=num_ch_dec,
        aspp=aspp,
        is_regression=kwargs.is_regression,
        use_skips=kwargs.use_skips,
        n_project_skip_ch=kwargs.n_project_skip_ch,
        batch_norm=kwargs.batch_norm,
        dropout=kwargs.dropout,
    )


def _video_depth(main: MultiTaskNetwork, setup: SetupConfig, frame_ids: Sequence[int]) -> VideoDepth:
    """Put the pose network that `setup` asks for beside the multi-task network."""
    pose = setup.model.pose_kwargs or PoseConfig()
    offsets = pose.frame_ids or frame_ids
    n_frames, n_motions = motion_counts(offsets, pose.pose_model_input)
    pose_net = PoseNet(n_frames=n_frames, n_motions=n_motions)
    if pose.freeze:
        pose_net.freeze()
    return VideoDepth(main=main, pose_net=pose_net, frame_ids=offsets, pose_model_input=pose.pose_model_input)


def _load_pretrained(main: MultiTaskNetwork, pose_net: PoseNet | None, setup: SetupConfig, download_dir: Path) -> None:
    """Fill the encoders, and from an archive the decoders too, as `setup.model.pretrain` says."""
    pretrain = setup.model.pretrain
    if pretrain == "none":
        return
    if pretrain == "imnet":
        for encoder in [main.backbone] if pose_net is None else [main.backbone, pose_net.encoder]:
            try:
                encoder.load_imagenet()
            except UserError as error:
                raise UserError(f"setup.model.pretrain: {error}, or train from random weights with none") from error
    elif Path(pretrain).expanduser().is_file():
        main.backbone.load_classifier(read_weights(Path(pretrain).expanduser()), source=pretrain)
    elif pose_net is None:
        raise UserError(
            f"setup.model.pretrain: {pretrain!r} is neither 'imnet' nor 'none' nor a weights file that is there"
        )
    else:
        _require_archive(pretrain, download_dir)
        load_archive(download_dir / pretrain, main, pose_net)


def _require_archive(name: str, download_dir: Path) -> None:
    missing = [file for file in FILES if not (download_dir / name / file).is_file()]
    if missing:
        raise UserError(
            f"setup.model.pretrain: {name!r} is neither 'imnet' nor 'none' nor a weights file, and as an archive it "
            f"lacks {', '.join(missing)} in {download_dir / name}. Unpack there the archive {PUBLISHED_ARCHIVE} of the "
            f"3-Ways project ({PROJECT}), or start from ImageNet weights with setup.model.pretrain: imnet"
        )
