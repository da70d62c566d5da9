"""Predictions on one's own images: every task's map at the image's own size, as files that people can open.

A few threads read the next images and write the last results while the network runs.
"""

import glob
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dataset.labels import label_set
from dataset.resize import resize_rgb
from dataset.transform import rgb_to_planes
from training.build import build_network
from training.device import choose_device, runs_channels_last
from training.precision import Precision
from training.strategy import to_device
from training.tasks import build_tasks, decode_final
from utils.config.load import Experiment
from utils.console import LOGGER, progress_bar
from utils.errors import UserError
from utils.files import write_atomically
from utils.visualize import panel, write_png

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
THREADS = 2
AHEAD = 4  # images read before they are needed


@dataclass(frozen=True)
class Input:
    """One image to predict, and the start of the paths of its results."""

    path: Path
    target: Path


def predict(
    experiment: Experiment,
    inputs: Sequence[str],
    *,
    weights: Path,
    output: Path,
    raw: bool = False,
    device: str | None = None,
) -> None:
    """Write predictions for images, folders of images and globs.

    Per image `<stem>_semseg.png` (train ids), `_semseg_color.png`, `_depth.png` (16 bit, metres * 256),
    `_depth_color.png`, `_normals.png`, `_edges.png` and `_panel.png`, for the tasks of the network, at the image's own
    size; with `raw`, `<stem>.npz` with the network's final output for each task, float32 [C, h, w] at the config's
    size. A folder's sub-folders are kept below `output`.

    Raises:
        UserError: No image, two that would write the same files, one that cannot be read, weights that do not fit.
    """
    chosen = choose_device(device)
    jobs = find_inputs(inputs, output)
    predictor = Predictor(experiment, weights=weights, device=chosen)
    LOGGER.info("predicting %d image(s) with %s on %s", len(jobs), weights, chosen)
    bar = progress_bar(total=len(jobs), description="predict", unit="image")
    with ThreadPoolExecutor(THREADS) as pool, bar:
        writing: deque[Future] = deque()
        for job, image, resized in _read_ahead(pool, jobs, predictor.size):
            maps, raw_maps = predictor(resized, (image.height, image.width))
            writing.append(pool.submit(predictor.write, job, image, maps, raw_maps if raw else None))
            while len(writing) > AHEAD:
                writing.popleft().result()
            bar.update()
        for future in writing:
            future.result()
    LOGGER.info("done: %s", output)


def find_inputs(inputs: Sequence[str], output: Path) -> list[Input]:
    """The images that files, folders (searched recursively) and globs name.

    Raises:
        UserError: An input that names nothing, or two images whose results would have the same name.
    """
    found: list[Input] = []
    for name in inputs:
        path = Path(name).expanduser()
        if path.is_dir():
            images = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            found += [Input(p, output / p.relative_to(path).with_suffix("")) for p in images]
            if not images:
                raise UserError(f"--predict {name}: no image in this folder (looked for {' '.join(IMAGE_SUFFIXES)})")
        else:
            files = [path] if path.is_file() else sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            files = [p for p in files if p.is_file()]
            found += [Input(p, output / p.stem) for p in files]
            if not files:
                raise UserError(f"--predict {name}: no such file, folder or glob match")
    sources: dict[Path, Path] = {}
    for job in found:
        other = sources.setdefault(job.target, job.path)
        if other != job.path:
            raise UserError(
                f"--predict: {other} and {job.path} would both be written to {job.target}_*; rename one or predict "
                "them into different folders"
            )
    return [Input(path, target) for target, path in sources.items()]


def read_image(path: Path) -> Image.Image:
    """An image file as RGB, turned upright as its EXIF data says.

    Raises:
        UserError: The file is no image, or a truncated one; names it.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read as an image ({error}); replace or remove it") from error
    if upright.mode.startswith("I"):  # 16 bit grey, which Pillow would cut off above 255
        upright = Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
    return upright.convert("RGB")


class Predictor:
    """A network ready to predict, and the writer of its results."""

    def __init__(self, experiment: Experiment, *, weights: Path, device: torch.device) -> None:
        config = experiment.config
        dataset = config.data.validation
        self.size = (dataset.height, dataset.width)
        self.device = device
        self.precision = Precision(device=device, use_amp=config.training.use_amp, amp_dtype=config.training.amp_dtype)
        self.channels_last = runs_channels_last(config.training.channels_last, device, trains=False)
        self.network = build_network(experiment, device, weights=weights)
        self.tasks = build_tasks(config.setup.loss, label_set(dataset.dataset, dataset.n_classes))

    @torch.inference_mode()
    def __call__(self, image: Tensor, size: tuple[int, int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Run one image [3, h, w] in [0, 1].

        Returns decoded maps [C, H, W] at `size`, and the network's final outputs [C, h, w] as they are; on the CPU.
        """
        batch = to_device({"image": image[None]}, self.device, channels_last=self.channels_last)["image"]
        with self.precision.autocast():
            predictions = self.network(batch)
        decoded = decode_final(self.tasks, predictions, size)
        raw = {task: scales[min(scales)][0].float().cpu() for task, scales in predictions.items()}
        return {task: value[0].cpu() for task, value in decoded.items()}, raw

    def write(
        self, job: Input, image: Image.Image, maps: dict[str, Tensor], raw_maps: dict[str, Tensor] | None
    ) -> None:
        """Write one image's files."""
        try:
            job.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{job.target.parent}: cannot be created ({error.strerror}); choose another --output"
            raise UserError(message) from error

        def save(suffix: str, picture: np.ndarray) -> None:
            write_png(job.target.with_name(f"{job.target.name}_{suffix}.png"), picture)

        cells = [("image", np.asarray(image))]
        for name, tensor in maps.items():
            task, value = self.tasks[name], tensor.numpy()
            colored = task.pictures(value, None)[1]
            cells.append((task.caption, colored))
            for suffix, picture in task.files(value, colored).items():
                save(suffix, picture)
        save("panel", panel([cells]))
        if raw_maps is not None:
            arrays: dict[str, Any] = {task: tensor.numpy() for task, tensor in raw_maps.items()}
            path = job.target.with_name(job.target.name + ".npz")
            write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def _read_ahead(
    pool: ThreadPoolExecutor, jobs: Sequence[Input], size: tuple[int, int]
) -> Iterator[tuple[Input, Image.Image, Tensor]]:
    """Yield every job with its image and the image resized for the network, reading a few ahead."""
    height, width = size

    def load(job: Input) -> tuple[Input, Image.Image, Tensor]:
        image = read_image(job.path)
        return job, image, torch.from_numpy(rgb_to_planes(resize_rgb(image, width=width, height=height)))  # [3, h, w]

    pending: deque[Future] = deque()
    for job in jobs:
        pending.append(pool.submit(load, job))
        if len(pending) >= AHEAD:
            yield pending.popleft().result()
    for future in pending:
        yield future.result()
