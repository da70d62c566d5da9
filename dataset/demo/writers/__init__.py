"""One writer for each dataset format, and what the command line needs to know about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataset import cityscapes, nyudv2, synthia, vkitti2
from dataset.demo.writers.cityscapes import write_cityscapes
from dataset.demo.writers.common import World
from dataset.demo.writers.nyudv2 import write_nyudv2
from dataset.demo.writers.synthia import write_synthia
from dataset.demo.writers.vkitti2 import write_vkitti2
from dataset.files import Camera

__all__ = ["FORMATS", "Format", "World", "Writer", "write_cityscapes", "write_nyudv2", "write_synthia", "write_vkitti2"]


class Writer(Protocol):
    """Fills an empty folder with a world in one dataset's format."""

    def __call__(self, root: Path, world: World, *, workers: int = 1, label: str | None = None) -> None: ...


@dataclass(frozen=True)
class Format:
    """A dataset's format: its writer, the camera it is seen with, the environment variable that configs find it by."""

    write: Writer
    camera: Camera
    variable: str

    @property
    def default_size(self) -> tuple[int, int]:
        """A quarter of the dataset's own width and height."""
        return self.camera.width // 4, self.camera.height // 4


FORMATS = {
    "nyudv2": Format(write_nyudv2, nyudv2.CAMERA, "NYUDV2_DIR"),
    "cityscapes": Format(write_cityscapes, cityscapes.DEFAULT_CAMERA, "CITYSCAPES_DIR"),
    "synthia": Format(write_synthia, synthia.CAMERA, "SYNTHIA_DIR"),
    "vkitti2": Format(write_vkitti2, vkitti2.CAMERA, "VKITTI2_DIR"),
}
