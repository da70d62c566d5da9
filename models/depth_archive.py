"""Weights of depth learned from video, as Monodepth2 and 3-Ways save them, to start training from.

An archive is a folder of four files: encoder, pose_encoder, pose (decoder) and depth (decoder). DenseMTL starts its
semi-supervised setting from one (Lopes et al., WACV 2023, sec. 4). Formats: Monodepth2 (Godard et al., ICCV 2019);
"Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021).
"""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.decoder import Decoder
from models.pose import PoseNet
from models.published import to_published
from models.weights import load_strictly
from utils.config.schema.setup import SetupConfig
from utils.errors import UserError

logger = logging.getLogger("densemtl")

FILES = ("encoder.pth", "pose_encoder.pth", "pose.pth", "depth.pth")
PUBLISHED_ARCHIVE = "mono_cityscapes_1024x512_r101dil_aspp_dec6_lr5_fd2_crop512x512bs4"
PROJECT = "https://github.com/lhoyer/improving_segmentation_with_selfsupervised_depth"


def archive_name(pretrain: str) -> str | None:
    """The archive that `setup.model.pretrain` names; None where it asks for something else."""
    return None if pretrain in ("imnet", "none") or Path(pretrain).expanduser().is_file() else pretrain


def load_archive(
    main: nn.Module, pose_net: PoseNet, setup: SetupConfig, *, name: str, download_dir: Path | None
) -> None:
    """Fill encoder, pose network and every skip decoder from `download_dir/name`.

    The encoders and the pose decoder must fit. A task's decoder takes the layers that agree with it in name and shape,
    but for the predictions, which are the task's own.

    Args:
        main: the multi-task network.
        pose_net: the pose network.
        setup: the setup section that describes them.
        name: of the archive's folder.
        download_dir: the folder it is in.

    Raises:
        UserError: files that are missing, damaged or do not fit.
    """
    folder = find_archive(name, download_dir)
    encoder, pose_encoder, pose, depth = (_read(folder / file) for file in FILES)
    main.backbone.load_classifier(_below(encoder, "encoder."), source=str(folder / FILES[0]))
    pose_net.encoder.load_classifier(_below(pose_encoder, "encoder."), source=str(folder / FILES[1]))
    load_strictly(pose_net.decoder, pose, source=str(folder / FILES[2]))
    for task, head in main.heads.items():
        if isinstance(head, Decoder):
            n_taken, n_all = _fill_decoder(head, depth, task, setup)
            logger.info("%s: %d of %d decoder weights of %s taken", folder / FILES[3], n_taken, n_all, task)


def find_archive(name: str, download_dir: Path | None) -> Path:
    """The archive's folder, with all its files there.

    Raises:
        UserError: names the missing files, where the archive comes from, and the way without it.
    """
    if download_dir is None:
        raise UserError(
            f"setup.model.pretrain: {name!r} names an archive under $DOWNLOAD_DIR, which is not defined. Define "
            "DOWNLOAD_DIR in the environment or in the file of --env-config, or start from ImageNet weights with "
            "setup.model.pretrain: imnet"
        )
    folder = download_dir / name
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UserError(
            f"setup.model.pretrain: {name!r} is neither 'imnet' nor 'none' nor a weights file, and as an archive it "
            f"lacks {', '.join(missing)} in {folder}. Unpack there the archive {PUBLISHED_ARCHIVE} of the 3-Ways "
            f"project ({PROJECT}), or start from ImageNet weights with setup.model.pretrain: imnet"
        )
    return folder


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file; beside them Monodepth2 notes plain values in it, such as the image size."""
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{file} cannot be read as weights ({type(error).__name__}): damaged, cut short or not written by "
            "torch.save. Fetch the archive again"
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{file} holds a {type(state).__name__}, not a dict of named tensors")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _fill_decoder(head: Decoder, depth: Mapping[str, Tensor], task: str, setup: SetupConfig) -> tuple[int, int]:
    """Copy what agrees; gives the numbers of weights copied and of weights that could have been."""
    # Seen as a head without exchanges, whatever the setup: the archive knows the published names of a decoder alone.
    alone = setup.model_copy(update={"name": "baseline"})
    prefix = f"heads.{task}."
    own = {prefix + name: value for name, value in head.state_dict().items() if not name.startswith("predictions.")}
    published = to_published(own, alone, aliases=False)
    found = {ours: depth.get(theirs.removeprefix(prefix)) for ours, theirs in zip(own, published, strict=True)}
    # Module by module: a bias of the right shape is worth nothing beside a weight of the wrong one.
    misfits = [_module(name) for name, value in found.items() if value is None or value.shape != own[name].shape]
    taken = {name.removeprefix(prefix): found[name] for name in own if _module(name) not in misfits}
    head.load_state_dict(taken, strict=False)
    return len(taken), len(own)


def _module(name: str) -> str:
    return name.rpartition(".")[0]
