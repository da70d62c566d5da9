"""Depth from video: a multi-task network that predicts disparity, and the pose network that lets frames train it.

The semi-supervised setting of Lopes et al., WACV 2023, sec. 4, with the self-supervision of Monodepth2 (Godard et al.,
ICCV 2019).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from models.network import Head, MultiTaskNetwork, Predictions
from models.pose import PoseNet
from utils.geometry import rigid_transform


class VideoDepth(nn.Module):
    """A multi-task network with a pose network beside it.

    Args:
        pose_net: made for two frames and two motions (`pairs`), or for all of `frame_ids` and a motion per neighbour
            (`all`).
        frame_ids: offsets of the frames, 0 (the image itself) among them.
        pose_model_input: `pairs`, each neighbour with the image; `all`, all frames at once.
    """

    def __init__(
        self,
        *,
        main: MultiTaskNetwork,
        pose_net: PoseNet,
        frame_ids: Sequence[int],
        pose_model_input: Literal["pairs", "all"] = "pairs",
    ) -> None:
        super().__init__()
        self.main = main
        self.pose_net = pose_net
        self.frame_ids = tuple(sorted(frame_ids))  # the order of time
        self.pose_model_input = pose_model_input
        self.tasks = main.tasks
        self.scales = main.scales

    @property
    def heads(self) -> Mapping[str, Head]:
        """The heads of the multi-task network."""
        return self.main.heads

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """The parameters that serve one task alone."""
        return self.main.task_parameters(task)

    def forward(self, image: Tensor) -> Predictions:
        """Image [B,3,H,W] in [0,1] -> {task: {scale: tensor}}."""
        return self.main(image)

    def forward_video(
        self, image: Tensor, frames: Mapping[int, Tensor]
    ) -> tuple[Predictions, dict[int, Tensor], Tensor]:
        """What depth learns from: the tasks, how the camera moved, and the encoder's feature.

        Args:
            image: [B,3,H,W] in [0,1].
            frames: frame of every offset of `frame_ids`, [B,3,h,w] in [0,1]; all of one size, which need not be the
                image's.

        Returns:
            Predictions as in `forward`, transforms as in `motions`, and the encoder's last feature [B,C,h,w].
        """
        features = self.main.backbone(image)
        return self.main.decode(features, image.shape[-2:]), self.motions(frames), features[-1]

    def motions(self, frames: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """{offset: [B,4,4]} for every neighbour: maps points of the image's camera to the neighbour's camera.

        The frames go through the pose network in the order of time, so that it sees only forward motion; the motion of
        a pair is that from the earlier to the later frame, and is inverted where the neighbour is the earlier one.
        """
        neighbours = [offset for offset in self.frame_ids if offset != 0]
        if self.pose_model_input == "all":
            rotations, translations = self.pose_net([frames[offset] for offset in self.frame_ids])  # [B,n,3] each
            return {
                offset: rigid_transform(rotations[:, k], translations[:, k], invert=False)
                for k, offset in enumerate(neighbours)
            }
        transforms = {}
        for offset in neighbours:
            rotations, translations = self.pose_net([frames[o] for o in sorted((0, offset))])  # [B,2,3] each
            transforms[offset] = rigid_transform(rotations[:, 0], translations[:, 0], invert=offset < 0)
        return transforms
