"""Checks of an experiment's network and losses against each other and against the dataset."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from utils.config.messages import Problem, closest_hint
from utils.config.schema import Config
from utils.config.schema.data import DATASETS
from utils.config.schema.loss import TASKS
from utils.config.schema.setup import UNDILATED, TaskConfig
from utils.config.schema.types import TaskName

_THREE_WAYS_STAGE = 2  # level after which the decoders of `padnet+` exchange features
_TASK_PATH = ("setup", "model", "tasks")
_LOSS_PATH = ("setup", "loss")


def _names(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items)) or "none"


def _tasks_agree(config: Config) -> Iterator[Problem]:
    tasks, loss = config.setup.tasks, config.setup.loss
    for task in tasks:
        if task not in loss.tasks:
            yield (*_LOSS_PATH, "tasks", task), "missing: the network has this task, the loss does not"
    references = {"baselines": loss.kwargs.baselines, "gammas": loss.kwargs.gammas}
    named = [(("tasks",), loss.tasks), *((("kwargs", key), given or {}) for key, given in references.items())]
    for path, given in named:
        for task in given:
            if task not in tasks:
                message = f"the network has no such task, it has {_names(tasks)} (setup.model.tasks)"
                yield (*_LOSS_PATH, *path, task), message
    for task in tasks:
        if loss.kwargs.baselines is not None and task not in loss.kwargs.baselines:
            message = "missing: delta_m compares every task with its baseline"
            yield (*_LOSS_PATH, "kwargs", "baselines", task), message


def _heads(config: Config) -> Iterator[Problem]:
    """Output channels, scales and kind of every head."""
    setup = config.setup
    for task, head in setup.model.tasks.items():
        path = (*_TASK_PATH, task)
        needed = TASKS[task].channels or config.data.source.n_classes
        if head.kwargs.num_out_ch != needed:
            why = f"what {task} needs" if TASKS[task].channels else "data.n_classes"
            yield (*path, "kwargs", "num_out_ch"), f"must be {needed}, {why}, got {head.kwargs.num_out_ch}"
        if setup.method in ("padnet+", "ours-cxatt") and head.head != "padnet+":
            message = f"'{setup.name}' exchanges features between decoders: must be padnet+, got {head.head}"
            yield (*path, "head"), message
        if setup.method != "padnet":
            for message in _scale_mistakes(head):
                yield (*path, "kwargs", "active_scales"), f"{message}, got {head.kwargs.active_scales}"
        if task == "disp" and head.head == "deeplab" and setup.method == "baseline":
            yield (*path, "head"), "a deeplab head gives no disparity, which is a sigmoid's output: must be padnet+"
        if task == "disp" and not head.kwargs.is_regression:
            yield (*path, "kwargs", "is_regression"), "disparity is a sigmoid's output: must be True"


def _scale_mistakes(head: TaskConfig) -> Iterator[str]:
    scales = head.kwargs.active_scales
    if head.head == "deeplab":
        if scales != [0]:
            yield "a deeplab head predicts at scale 0 only: must be [0]"
        return
    if 0 not in scales:
        yield "must hold 0, the final output"
    if max(scales) > head.kwargs.n_upconv:
        yield f"the decoder starts at level {head.kwargs.n_upconv} (n_upconv) and has no scale above"


def _task_count(config: Config) -> Iterator[Problem]:
    setup = config.setup
    if setup.method != "baseline" and len(setup.tasks) == 1:
        message = f"'{setup.name}' exchanges features between tasks and has {setup.tasks[0]} alone"
        yield _TASK_PATH, f"{message}; a single task is setup.name 'baseline'"
    elif setup.method == "padnet" and all(head.auxiliary for head in setup.model.tasks.values()):
        yield _TASK_PATH, "every task is auxiliary; at least one must be predicted in the end"


def _backbone(config: Config) -> Iterator[Problem]:
    model = config.setup.model
    if any(model.dilation) and model.backbone in UNDILATED:
        message = f"{model.backbone} has no dilated form: must be [False, False, False] or False"
        yield ("setup", "model", "use_dilation"), f"{message} (or take a deeper backbone)"


def _decoder_sections(config: Config) -> Iterator[Problem]:
    """Sections run down all levels once; exchanges stand between them, where the decoders have one width."""
    setup = config.setup
    path = ("setup", "kwargs")
    heads = setup.model.tasks
    stages = [_THREE_WAYS_STAGE] if setup.method == "padnet+" else []
    if setup.method == "ours-cxatt":
        top = max(head.kwargs.n_upconv for head in heads.values())
        sections = [[level for level in section if level <= top] for section in setup.kwargs.enc_layers]
        levels = [level for section in sections for level in section]
        if levels != list(range(top, -1, -1)) or not all(sections):
            message = f"must be the levels {list(range(top, -1, -1))} in this order, cut into sections"
            yield (*path, "enc_layers"), f"{message}, got {setup.kwargs.enc_layers}"
            return
        stages = [section[-1] for section in sections[:-1]]
        if setup.kwargs.stages != stages:
            message = f"must be {stages}, the last level of each section but the last of {setup.kwargs.enc_layers}"
            yield (*path, "stages"), f"{message}, got {setup.kwargs.stages}"
    for stage in stages:
        widths = {task: head.kwargs.num_ch_dec[stage] for task, head in heads.items()}
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"{task} {width}" for task, width in widths.items())
            message = f"the tasks exchange features at level {stage} and must agree on kwargs.num_ch_dec[{stage}]"
            yield _TASK_PATH, f"{message}, got {listed}"
    if setup.method in ("padnet+", "ours-cxatt"):
        depths = {task: head.kwargs.n_upconv for task, head in heads.items()}
        if len(set(depths.values())) > 1:
            listed = ", ".join(f"{task} {depth}" for task, depth in depths.items())
            yield _TASK_PATH, f"decoders that exchange features must agree on kwargs.n_upconv, got {listed}"
        elif max(depths.values()) < max(stages, default=0):
            yield (
                _TASK_PATH,
                f"the decoders exchange features at level {stages[0]}: n_upconv must be {stages[0]} or more",
            )


def _source_order(config: Config) -> Iterator[Problem]:
    setup = config.setup
    for target, sources in (setup.kwargs.source_order or {}).items():
        others = [task for task in setup.tasks if task != target]
        order_path = ("setup", "kwargs", "source_order", target)
        if target not in setup.tasks:
            yield order_path, f"the network has no such task, it has {_names(setup.tasks)}"
        elif sorted(sources) != sorted(others):
            yield order_path, f"must list the other tasks ({_names(others)}) in their order, got {sources}"


def _losses(config: Config) -> Iterator[Problem]:
    setup, data = config.setup, config.data.source
    for task, loss in setup.loss.tasks.items():
        path, kwargs = (*_LOSS_PATH, "tasks", task), loss.kwargs
        fitting = _fitting_losses(task, data.dataset)
        if loss.loss not in fitting:
            where = f" on {data.dataset}" if task == "normals" else ""
            yield (*path, "loss"), f"the loss of {task}{where} is {' or '.join(fitting)}, got {loss.loss}"
        if kwargs.n_classes not in (None, data.n_classes):
            message = f"must be {data.n_classes}, data.n_classes, or left out, got {kwargs.n_classes}"
            yield (*path, "kwargs", "n_classes"), message
        if task not in setup.tasks:
            continue
        scales = setup.output_scales(task)
        beyond = [scale for scale in kwargs.scales if scale not in scales]
        scales_path = (*path, "kwargs", "scales")
        if beyond:
            yield scales_path, f"the network predicts {task} at the scales {list(scales)}, not at {beyond}"
        elif 0 in scales and 0 not in kwargs.scales:
            yield scales_path, f"must hold 0, the final output, got {kwargs.scales}"
        elif task == "disp" and setup.method == "padnet" and kwargs.scales != [0]:
            # Where smoothness is weighed, scale k is 1 / 2^k of the image; PAD-Net's scale 2 has its encoder's stride.
            message = "the first of PAD-Net's predictions, scale 2, is too coarse for depth from video: must be [0]"
            yield scales_path, f"{message}, got {kwargs.scales}"


def _fitting_losses(task: TaskName, dataset: str) -> tuple[str, ...]:
    if task == "normals":  # where they are not stored they are derived from depth
        return ("gt_normals",) if task in DATASETS[dataset].stored else ("normals",)
    return TASKS[task].losses


def _video_task(config: Config) -> Iterator[Problem]:
    setup = config.setup
    if "disp" in setup.tasks and not setup.is_video_depth:
        message = "disparity is learned from video only: setup.name needs the suffix _monodepth"
        yield (*_TASK_PATH, "disp"), f"{message} (or name the task depth), got '{setup.name}'"
    if setup.is_video_depth and "disp" not in setup.tasks:
        yield _TASK_PATH, f"'{setup.name}' learns disparity from video and needs a task disp, got {_names(setup.tasks)}"


def _learning_rates(config: Config) -> Iterator[Problem]:
    """Names of parameter groups; `main.` and `monodepth.` stand before some in published files."""
    setup = config.setup
    groups = ["backbone", *(f"{kind}.{task}" for kind in ("heads", "params") for task in setup.tasks)]
    if setup.is_video_depth:
        groups.append("monodepth.pose_net")
    stems = [group.removeprefix("monodepth.") for group in groups]
    seen: dict[str, str] = {}
    for key in setup.lr:
        path = ("setup", "lr", key)
        short = re.sub(r"^(main|monodepth)\.", "", key)
        known = key == "default" or short == "heads" or any(f"{short}.".startswith(f"{stem}.") for stem in stems)
        if not known:
            yield path, f"no such group of parameters; {closest_hint(key, ['default', *groups])}"
        elif short in seen:
            yield path, f"names the same parameters as '{seen[short]}'"
        seen.setdefault(short, key)


NETWORK_CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _tasks_agree, _heads, _task_count, _backbone, _decoder_sections, _source_order, _losses, _video_task,
    _learning_rates,
)  # fmt: skip
