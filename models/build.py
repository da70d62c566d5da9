"""From the `setup` section of a config to the network; no module of the networks themselves knows a config."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from models.baseline import Baseline
from models.decoder import Decoder, DeepLabHead
from models.densemtl import DenseMTL
from models.encoder import Encoder
from models.exchange import ExchangeBlock, ExchangeDesign
from models.padnet import PADNet, PADNetHead
from models.threeways import ThreeWays, common_width
from models.video_depth import build_video_depth
from models.weights import read_weights
from utils.config.schema.setup import AblationWord, HeadKwargs, SetupConfig, TaskConfig
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
    download_dir: Path | None = None,
    frame_ids: Sequence[int] = (0, -1, 1),
) -> nn.Module:
    """Build the network that a config asks for.

    Args:
        setup: the setup section.
        pretrained: load the weights that `setup.model.pretrain` names; False touches neither files nor network.
        download_dir: folder of the archives that `pretrain` may name (depth from video).
        frame_ids: the dataset's frames (depth from video).

    Returns:
        A module with `tasks`, `scales`, `backbone` and `heads`, from an image [B,3,H,W] in [0,1] to
        {task: {scale: tensor}}; for the `_monodepth` setups a `VideoDepth` around it.

    Raises:
        UserError: options that do not go together, or weights that are missing or do not fit.
    """
    try:
        network = _build_network(setup)
    except ValueError as error:
        raise UserError(f"setup: {error}") from error
    if pretrained:
        _load_backbone(network.backbone, setup)
    if setup.model.freeze_backbone:
        network.backbone.freeze()
    if not setup.is_video_depth:
        return network
    return build_video_depth(network, setup, pretrained=pretrained, download_dir=download_dir, frame_ids=frame_ids)


def exchange_design(ablation: Sequence[AblationWord]) -> ExchangeDesign:
    """The exchange that the words of `setup.kwargs.ablation` describe."""
    return ExchangeDesign(
        attention="SxTAM" in ablation,
        self_attention="SA" in ablation,
        alpha="no_alpha" not in ablation,
        full_self_attention="full_sa" in ablation,
        combine="add" if "add" in ablation else "prod" if "prod" in ablation else "concat",
    )


def _build_network(setup: SetupConfig) -> nn.Module:
    backbone = Encoder(name=setup.model.backbone, use_dilation=setup.model.dilation)
    tasks = setup.model.tasks
    if setup.method == "baseline":
        return Baseline(backbone=backbone, heads={task: _head(backbone, cfg) for task, cfg in tasks.items()})
    if setup.method == "padnet":
        return PADNet(backbone=backbone, heads={task: _padnet_head(backbone, cfg) for task, cfg in tasks.items()})

    for task, cfg in tasks.items():
        if cfg.head != "padnet+":
            raise ValueError(f"{setup.name} runs its decoders in sections, which head {cfg.head!r} of {task} has not")
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
    if cfg.kwargs.active_scales != [0]:
        raise ValueError(f"the deeplab head predicts at scale 0 only, got active_scales {cfg.kwargs.active_scales}")
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


def _load_backbone(backbone: Encoder, setup: SetupConfig) -> None:
    """Fill the backbone as `setup.model.pretrain` says; an archive of video depth is left to `build_video_depth`."""
    pretrain = setup.model.pretrain
    if pretrain == "none":
        return
    if pretrain == "imnet":
        backbone.load_imagenet()
    elif Path(pretrain).expanduser().is_file():
        backbone.load_classifier(read_weights(Path(pretrain).expanduser()), source=pretrain)
    elif not setup.is_video_depth:
        raise UserError(
            f"setup.model.pretrain: {pretrain!r} is neither 'imnet' nor 'none' nor a weights file that is there"
        )
