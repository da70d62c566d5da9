"""The published names and shapes, expanded from `published_names.txt`; independent of the code that maps names."""

import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

Listing = dict[str, tuple[int, ...]]

_TEXT = Path(__file__).with_name("published_names.txt").read_text()


def single_task(*, n_classes: int) -> Listing:
    """Single-task segmentation."""
    return _section("backbone") | _section("deeplab", TASK="semseg", OUT=n_classes)


def densemtl(tasks: dict[str, int], *, regressions: Sequence[str] = ()) -> Listing:
    """DenseMTL, task -> output channels; tasks in `regressions` predict disparity at four scales. With aliases."""
    listing: Listing = {}
    for task, channels in tasks.items():
        listing |= _section("decoder", TASK=task)
        listing |= _section("regressions" if task in regressions else "predictions", TASK=task, OUT=channels)
        sources = [source for source in tasks if source != task]
        for source in sources:
            listing |= _section("direction", TARGET=task, SOURCE=source)
        listing |= _section("post", TARGET=task, N_IN=128 * len(sources))
    aliases = {}
    for name, shape in listing.items():
        kind, task, rest = name.split(".", 2)
        aliases[f"params.{task}.{0 if kind == 'heads' else 1}.{rest}"] = shape
    return _section("backbone") | listing | aliases


def video_depth(tasks: dict[str, int]) -> Listing:
    """DenseMTL that learns disparity from video."""
    main = densemtl(tasks, regressions=["disp"])
    return {f"main.{name}": shape for name, shape in main.items()} | _section("pose")


def digest(listing: Listing) -> str:
    """Start of the SHA-256 of the lines "name shape", sorted."""
    lines = sorted(f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in listing.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _section(title: str, **values: object) -> Listing:
    body = _TEXT.partition(f"\n[{title}]\n")[2].partition("\n\n")[0]
    for key, value in values.items():
        body = body.replace(f"${key}", str(value))
    listing: Listing = {}
    for line in body.splitlines():
        pattern, shape = line.split()
        for name in _expand(pattern):
            listing |= _norm(name, int(shape[4:])) if shape.startswith("NORM") else {name: _shape(shape)}
    return listing


def _expand(pattern: str) -> list[str]:
    """`a{1..3}b{x,y}` -> the six names."""
    pieces = re.split(r"\{(.*?)\}", pattern)  # text and choices in turn
    choices = [[piece] if k % 2 == 0 else _choices(piece) for k, piece in enumerate(pieces)]
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    return [str(k) for k in range(int(first), int(last) + 1)] if dots else text.split(",")


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(side) for side in text.split("x"))


def _norm(name: str, channels: int) -> Listing:
    values = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{value}": (channels,) for value in values} | {f"{name}.num_batches_tracked": ()}
