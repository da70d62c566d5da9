"""`python -m dataset.demo OUT`: writes demo datasets and says how to use them."""

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path

from dataset.demo.formats import FORMATS
from dataset.demo.generate import generate
from dataset.demo.style import STYLES
from dataset.demo.world import World
from utils.command import run_command


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write WIDTHxHEIGHT, for example 160x120")
    return int(match[1]), int(match[2])


def build_parser() -> argparse.ArgumentParser:
    """Every command-line option, with its help."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset.demo",
        description="Writes small synthetic datasets with exact geometry, in the file formats of the real ones.",
    )
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, help="folder to write to; each dataset gets a folder in it")
    add("--layout", choices=(*FORMATS, "all"), default="all", help="which dataset's format (%(default)s)")
    add("--scenes", type=int, default=10, help="scenes, training and validation together (%(default)s)")
    add("--val-scenes", type=int, metavar="N", help="of these, scenes for validation (a fifth)")
    add("--frames", type=int, default=1, help="annotated frames of each scene (%(default)s)")
    add("--size", type=_size, metavar="WxH", help="size of the images (a quarter of the real one)")
    add("--style", choices=tuple(STYLES), default="source", help="light, haze, palette and texture (%(default)s)")
    add("--seed", type=int, default=0, help="decides everything else (%(default)s)")
    add("--truth", action="store_true", help="also write exact float depth, normals, poses, intrinsics")
    add("--workers", type=int, default=1, help="processes (%(default)s)")
    return parser


def run(options: argparse.Namespace) -> None:
    """Does what the command line asks."""
    world = World(**{field.name: getattr(options, field.name) for field in fields(World)})
    names = tuple(FORMATS) if options.layout == "all" else (options.layout,)
    roots = generate(options.out, names, world, workers=options.workers)
    frames = world.scenes * world.frames
    variables = " ".join(f"{FORMATS[name].variable}={root.resolve()}" for name, root in roots.items())
    print(f"Wrote {world.scenes} scenes with {frames} annotated frames for each of {', '.join(roots)}; use {variables}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
