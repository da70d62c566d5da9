"""The settings of a demo dataset."""

from dataclasses import dataclass

from dataset.demo.style import STYLES
from utils.errors import UserError

# The street is long enough for this many annotated frames.
MAX_FRAMES = 10
MIN_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class World:
    """What decides the files of a demo dataset, bit for bit.

    Raises:
        UserError: a setting is out of range.
    """

    scenes: int = 10  # training and validation together
    val_scenes: int | None = None  # of these, the last ones, for validation; None: a fifth, at least 1 of several
    frames: int = 1  # annotated ones of each scene
    size: tuple[int, int] | None = None  # (width, height) in pixels; None: a quarter of the dataset's own
    style: str = "source"  # one of `STYLES`
    seed: int = 0  # decides everything else
    # Also write truth/{depth,normals,pose,intrinsics}/*.npy, float64: depth and normals as in `Frame`, the pose [4,4]
    # that maps camera points (z forward) to the world, intrinsics [3,3] in pixels.
    truth: bool = False

    def __post_init__(self) -> None:
        last = self.scenes - 1
        for key, holds, allowed in (
            ("scenes", self.scenes >= 1, "at least 1"),
            (
                "val_scenes",
                self.val_scenes is None or 0 <= self.val_scenes <= last,
                f"0..{last} of {self.scenes} scenes",
            ),
            ("frames", 1 <= self.frames <= MAX_FRAMES, f"1..{MAX_FRAMES} per scene"),
            ("size", self.size is None or min(self.size) >= MIN_SIDE, f"at least {MIN_SIDE} pixels wide and high"),
            ("style", self.style in STYLES, f"one of {', '.join(STYLES)}"),
            ("seed", self.seed >= 0, "at least 0"),
        ):
            if not holds:
                raise UserError(f"demo world: {key}: must be {allowed}, got {getattr(self, key)!r}")

    def split(self, scene: int) -> str:
        """The split a scene number belongs to: train or val."""
        fifth = max(1, self.scenes // 5) if self.scenes > 1 else 0
        return "train" if scene < self.scenes - (fifth if self.val_scenes is None else self.val_scenes) else "val"
