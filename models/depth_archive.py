"""Weights of depth learned from video, as Monodepth2 and 3-Ways save them, to start training from.

An archive is a folder of four files: encoder, pose_encoder, pose (decoder) and depth (decoder). DenseMTL starts its
semi-supervised setting from one (Lopes et al., WACV 2023, sec. 4). Formats: Monodepth2 (Godard et al., ICCV 2019);
"Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation" (Hoyer et al., CVPR 2021).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from models.decoder import Decoder
from models.network import MultiTaskNetwork
from models.pose import PoseNet
from models.published import decoder_names, rename
from models.weights import load_strictly, load_without_code
from utils.console import LOGGER
from utils.errors import UserError

FILES = ("encoder.pth", "pose_encoder.pth", "pose.pth", "depth.pth")
PUBLISHED_ARCHIVE = "mono_cityscapes_1024x512_r101dil_aspp_dec6_lr5_fd2_crop512x512bs4"
PROJECT = "https://github.com/lhoyer/improving_segmentation_with_selfsupervised_depth"


def load_archive(folder: Path, main: MultiTaskNetwork, pose_net: PoseNet) -> None:
    """Fill encoder, pose network and every skip decoder from an archive.

    The encoders and the pose decoder must fit. A task's decoder takes the layers that agree with it in name and shape,
    but for the predictions, which are the task's own.

    Raises:
        UserError: files that are damaged or do not fit.
    """
    files = [folder / file for file in FILES]
    *encoders, pose, depth = [_read(file) for file in files]
    for encoder, state, file in zip((main.backbone, pose_net.encoder), encoders, files, strict=False):
        own = {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
        encoder.load_classifier(own, source=str(file))
    load_strictly(pose_net.decoder, pose, source=str(files[2]))
    for task, head in main.heads.items():
        if isinstance(head, Decoder):
            n_taken, n_all = _fill_decoder(head, depth)
            LOGGER.info("%s: %d of %d decoder weights of %s taken", files[3], n_taken, n_all, task)


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file; beside them Monodepth2 notes plain values in it, such as the image size."""
    state = load_without_code(file)
    if not isinstance(state, Mapping):
        raise UserError(f"{file} holds a {type(state).__name__}, not a dict of named tensors")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _fill_decoder(head: Decoder, depth: Mapping[str, Tensor]) -> tuple[int, int]:
    """Copy what agrees; returns the numbers of weights copied and of weights that could have been."""
    names = decoder_names(head)
    own = {name: value for name, value in head.state_dict().items() if not name.startswith("predictions.")}
    found = {name: depth[rename(name, names)] for name in own if rename(name, names) in depth}
    # Module by module: a bias that fits is useless where its weight does not.
    misfits = {
        name.rpartition(".")[0] for name, value in own.items() if name not in found or found[name].shape != value.shape
    }
    taken = {name: value for name, value in found.items() if name.rpartition(".")[0] not in misfits}
    head.load_state_dict(taken, strict=False)
    return len(taken), len(own)
