"""From the `setup` section of a config to the network; no module of the networks themselves knows a config."""

from collections.abc import Sequence
from pathlib import Path

from models.attention import ExchangeDesign
from models.baseline import Baseline
from models.decoder import Decoder
from models.deeplab import DeepLabHead
from models.densemtl import DenseMTL
from models.depth_archive import FILES, PROJECT, PUBLISHED_ARCHIVE, load_archive
from models.encoder import Encoder
from models.exchange import exchange_block
from models.network import MultiTaskNetwork
from models.padnet import PADNet, PADNetHead
from models.pose import PoseNet
from models.threeways import ThreeWays
from models.video_depth import VideoDepth
from models.weights import read_weights
from utils.config.schema.setup import AblationWord, HeadKwargs, PoseConfig, SetupConfig, TaskConfig
from utils.errors import UserError
from vendor.three_ways.aspp import ASPP

# How much coarser the attention runs at each decoder level, so that it always sees about 1/8 of the image's resolution.
ATTENTION_DOWNSCALE = {4: 1, 3: 1, 2: 2, 1: 4, 0: 8}


def build_model(
    setup: SetupConfig,
    *,
    pretrained: bool,
    download_dir: Path = Path("downloads"),
    frame_ids: Sequence[int] = (0, -1, 1),
) -> MultiTaskNetwork | VideoDepth:
    """Build the network that the `setup` section of a checked config asks for.

    Args:
        pretrained: load the weights that `setup.model.pretrain` names; False touches neither files nor network.
        download_dir: folder of the archives that `pretrain` may name (depth from video).
        frame_ids: the dataset's frames (depth from video).

    Returns:
        The multi-task network; for the `_monodepth` setups a `VideoDepth` around it.

    Raises:
        UserError: weights that are missing or do not fit.
    """
    network = _build_network(setup)
    video = _video_depth(network, setup, frame_ids) if setup.is_video_depth else None
    if pretrained:
        _load_pretrained(network, video.pose_net if video else None, setup, download_dir)
    if setup.model.freeze_backbone:
        network.backbone.freeze()
    return video or network


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
        stride = setup.model.output_stride
        return Baseline(backbone=backbone, heads={task: _head(backbone, cfg, stride) for task, cfg in tasks.items()})
    if setup.method == "padnet":
        return PADNet(backbone=backbone, heads={task: _padnet_head(backbone, cfg) for task, cfg in tasks.items()})

    heads: dict[str, Decoder] = {task: _decoder(backbone, cfg.kwargs) for task, cfg in tasks.items()}
    if setup.method == "padnet+":
        return ThreeWays(backbone=backbone, heads=heads)
    first = heads[setup.tasks[0]]
    # A decoder with a smaller n_upconv lacks the first levels.
    sections = [[level for level in section if level in first.level_order] for section in setup.kwargs.enc_layers]
    exchanges = {
        level: exchange_block(
            tasks=setup.tasks,
            channels=first.num_ch_dec[level],
            downscale=ATTENTION_DOWNSCALE[level],
            design=exchange_design(setup.kwargs.ablation),
            source_order=dict((setup.kwargs.source_order or {}).items()),
        )
        for level in setup.kwargs.stages
    }
    return DenseMTL(backbone=backbone, heads=heads, sections=sections, exchanges=exchanges)


def _head(backbone: Encoder, cfg: TaskConfig, stride: int) -> Decoder | DeepLabHead:
    if cfg.head == "padnet+":
        return _decoder(backbone, cfg.kwargs)
    return DeepLabHead(in_channels=backbone.channels[-1], num_out_ch=cfg.kwargs.num_out_ch, upsampling=stride)


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
    if pose.pose_model_input == "all":
        pose_net = PoseNet(n_frames=len(offsets), n_motions=len(offsets) - 1)
    else:  # the motions of both frames, as Monodepth2's weights have them; the first is used
        pose_net = PoseNet(n_frames=2, n_motions=2)
    if pose.freeze:
        pose_net.freeze()
    return VideoDepth(main=main, pose_net=pose_net, frame_ids=offsets, pose_model_input=pose.pose_model_input)


def _load_pretrained(main: MultiTaskNetwork, pose_net: PoseNet | None, setup: SetupConfig, download_dir: Path) -> None:
    """Fill the encoders, and from an archive the decoders too, as `setup.model.pretrain` says."""
    pretrain, folder = setup.model.pretrain, download_dir / setup.model.pretrain
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
    elif pose_net is not None and all((folder / file).is_file() for file in FILES):
        load_archive(folder, main, pose_net)
    else:
        message = f"setup.model.pretrain: {pretrain!r} is neither 'imnet' nor 'none' nor a weights file that is there"
        if pose_net is not None:
            missing = ", ".join(file for file in FILES if not (folder / file).is_file())
            message += (
                f", and as an archive it lacks {missing} in {folder}. Unpack there the archive {PUBLISHED_ARCHIVE} of "
                f"the 3-Ways project ({PROJECT}), or start from ImageNet weights with imnet"
            )
        raise UserError(message)
