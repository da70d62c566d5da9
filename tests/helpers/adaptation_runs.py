"""Runs of domain adaptation for the end-to-end tests: a small network on the demo world, from its first step on."""

from tests.helpers.runs import SMALL, dotted

BASE, CONFIGS = "configs/demo/da/fs_bs4.yml", "configs/demo/da"
SMALL_PAIR = {key: value for key, value in SMALL.items() if key not in ("data.width", "data.height")} | {
    f"data.{role}.{side}": size for role in ("source", "target") for side, size in (("width", 128), ("height", 64))
}
ADAPTED = ["semseg_1", "semseg_0", "depth_1", "depth_0"]


def arguments(
    *extra: str,
    config: str = f"{CONFIGS}/resnet18_ours_SD.yml",
    base: str = BASE,
    small: dict[str, object] = SMALL_PAIR,
    **overrides: object,
) -> list[str]:
    """Command line of a small run; `overrides` are config keys with `__` for the dot."""
    settings = [word for key, value in (small | dotted(overrides)).items() for word in ("--set", f"{key}={value}")]
    return ["--base", base, "--config", config, "--device", "cpu", "-w", *settings, *extra]
