"""Setup sections for tests of the networks: the paper's sizes, and a narrow network that runs in milliseconds."""

from collections.abc import Sequence
from typing import Any

from utils.config.schema.setup import SetupConfig

CHANNELS = {"semseg": 16, "depth": 1, "disp": 1, "normals": 3, "edges": 2}
PAPER_WIDTHS = [64, 128, 128, 256, 256]
NARROW_WIDTHS = [4, 8, 8, 8, 8]


def setup_section(name: str, model: dict[str, Any], kwargs: dict[str, Any] | None = None) -> SetupConfig:
    """A setup section whose losses are of no interest."""
    losses = {"depth": "berhu", "disp": "ssde", "normals": "normals", "edges": "edges", "semseg": "cross_entropy"}
    loss = {"tasks": {task: {"loss": losses[task]} for task in model["tasks"]}}
    return SetupConfig(name=name, model=model, kwargs=kwargs or {}, loss=loss, lr={"default": 1e-4})


def paper_setup(tasks: Sequence[str], *, n_classes: int = 16) -> SetupConfig:
    """DenseMTL as published."""
    heads = {task: _padnet_plus(n_classes if task == "semseg" else CHANNELS[task], PAPER_WIDTHS) for task in tasks}
    return setup_section("ours-cxatt", {"tasks": heads})


def single_task_setup() -> SetupConfig:
    """The published single-task segmentation."""
    return baseline_setup(["semseg"], backbone="resnet101", use_dilation=[False, False, True])


def video_setup() -> SetupConfig:
    """The published network that learns disparity from video."""
    heads = {
        "semseg": _padnet_plus(16, PAPER_WIDTHS, active_scales=[0, 2]),
        "disp": _padnet_plus(1, PAPER_WIDTHS, active_scales=[0, 1, 2, 3], is_regression=True),
    }
    return setup_section("ours-cxatt_monodepth", {"tasks": heads})


def baseline_setup(
    tasks: Sequence[str], *, backbone: str = "resnet18", use_dilation: bool | list[bool] = False
) -> SetupConfig:
    """A DeepLab head per task."""
    heads = {task: {"head": "deeplab", "kwargs": {"num_out_ch": CHANNELS[task]}} for task in tasks}
    model = {"backbone": backbone, "use_dilation": use_dilation, "tasks": heads}
    return setup_section("baseline", model)


def narrow_setup(
    tasks: Sequence[str] = ("semseg", "depth"),
    *,
    name: str = "ours-cxatt",
    kwargs: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    **head_kwargs: Any,
) -> SetupConfig:
    """ResNet-18 with narrow decoders; `kwargs`, `model` and `head_kwargs` go to the sections of those names."""
    widths = head_kwargs.pop("num_ch_dec", NARROW_WIDTHS)
    heads = {task: _padnet_plus(CHANNELS[task], widths, **head_kwargs) for task in tasks}
    section = {"backbone": "resnet18", "use_dilation": False, "tasks": heads} | (model or {})
    return setup_section(name, section, kwargs)


def _padnet_plus(num_out_ch: int, num_ch_dec: list[int], **kwargs: Any) -> dict[str, Any]:
    defaults = {"active_scales": [0, 1], "aspp_rates": [6, 12, 18], "intermediate_aspp": True}
    return {"head": "padnet+", "kwargs": {**defaults, "num_out_ch": num_out_ch, "num_ch_dec": num_ch_dec, **kwargs}}
