"""`python -m dataset.demo OUT`: writes demo datasets and says how to use them."""

import argparse
import re
import sys
from pathlib import Path

from dataset.demo.generate import generate
from dataset.demo.style import STYLES
from dataset.demo.writers import FORMATS
from utils.command import run_command


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write WIDTHxHEIGHT, for example 160x120")
    return int(match[1]), int(match[2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset.demo",
        description="Writes small synthetic datasets with exact geometry, in the file formats of the real ones.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write to; each dataset gets a folder in it")
    parser.add_argument(
        "--layout", choices=(*FORMATS, "all"), default="all", help="which dataset's format (%(default)s)"
    )
    parser.add_argument("--scenes", type=int, default=10, help="scenes, training and validation together (%(default)s)")
    parser.add_argument("--val-scenes", type=int, metavar="N", help="of these, scenes for validation (a fifth)")
    parser.add_argument("--frames", type=int, default=1, help="annotated frames of each scene (%(default)s)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="size of the images (a quarter of the real one)")
    parser.add_argument(
        "--style", choices=tuple(STYLES), default="source", help="light, haze, palette and texture (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides everything else (%(default)s)")
    parser.add_argument("--truth", action="store_true", help="also write exact float depth, normals, poses, intrinsics")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    return parser


def run(options: argparse.Namespace) -> None:
    """Does what the command line asks."""
    roots = generate(
        options.out,
        tuple(FORMATS) if options.layout == "all" else (options.layout,),
        scenes=options.scenes,
        val_scenes=options.val_scenes,
        frames_per_scene=options.frames,
        size=options.size,
        style=options.style,
        seed=options.seed,
        truth=options.truth,
        workers=options.workers,
        progress=True,
    )
    variables = " ".join(f"{FORMATS[name].variable}={root.resolve()}" for name, root in roots.items())
    frames = options.scenes * options.frames
    print(
        f"Wrote {options.scenes} scenes with {frames} annotated frames for each of {', '.join(roots)}; use {variables}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
