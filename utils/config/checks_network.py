"""Checks of an experiment's network and losses against each other and against the dataset."""

from collections.abc import Callable, Iterator, Mapping

from utils.config.messages import closest_hint
from utils.config.schema import Config
from utils.config.schema.data import DATASETS
from utils.config.schema.loss import TASKS
from utils.config.schema.setup import UNDILATED, TaskConfig
from utils.config.schema.types import TaskName
from utils.constants import THREE_WAYS_LEVEL, without_wrapper

Mistake = tuple[str, str]  # dotted key, and what is wrong there
_TASKS = "setup.model.tasks"
_LOSS = "setup.loss"


def _tasks_agree(config: Config) -> Iterator[Mistake]:
    tasks, loss = config.setup.tasks, config.setup.loss
    for task in tasks:
        if task not in loss.tasks:
            yield f"{_LOSS}.tasks.{task}", "missing: the network has this task, the loss does not"
        if loss.kwargs.baselines is not None and task not in loss.kwargs.baselines:
            yield f"{_LOSS}.kwargs.baselines.{task}", "missing: delta_m compares every task with its baseline"
    baselines, gammas = loss.kwargs.baselines or {}, loss.kwargs.gammas or {}
    named = {"tasks": [*loss.tasks], "kwargs.baselines": [*baselines], "kwargs.gammas": [*gammas]}
    for key, given in named.items():
        for task in given:
            if task not in tasks:
                message = f"the network has no such task, it has {', '.join(tasks)} (setup.model.tasks)"
                yield f"{_LOSS}.{key}.{task}", message


def _heads(config: Config) -> Iterator[Mistake]:
    """Output channels, scales and kind of every head."""
    setup = config.setup
    for task, head in setup.model.tasks.items():
        path, kwargs = f"{_TASKS}.{task}", head.kwargs
        needed = TASKS[task].channels or config.data.source.n_classes
        if kwargs.num_out_ch != needed:
            why = f"what {task} needs" if TASKS[task].channels else "data.n_classes"
            yield f"{path}.kwargs.num_out_ch", f"must be {needed}, {why}, got {kwargs.num_out_ch}"
        if setup.method in ("padnet+", "ours-cxatt") and head.head != "padnet+":
            message = f"'{setup.name}' exchanges features between decoders: must be padnet+, got {head.head}"
            yield f"{path}.head", message
        if setup.method != "padnet":
            for message in _scale_mistakes(head):
                yield f"{path}.kwargs.active_scales", f"{message}, got {kwargs.active_scales}"
        if task == "disp" and head.head == "deeplab" and setup.method == "baseline":
            yield f"{path}.head", "a deeplab head predicts no disparity, which is a sigmoid's output: must be padnet+"
        if task == "disp" and not kwargs.is_regression:
            yield f"{path}.kwargs.is_regression", "disparity is a sigmoid's output: must be True"


def _scale_mistakes(head: TaskConfig) -> Iterator[str]:
    scales, top = head.kwargs.active_scales, head.kwargs.n_upconv
    if head.head == "deeplab":
        if scales != [0]:
            yield "a deeplab head predicts at scale 0 only: must be [0]"
        return
    if 0 not in scales:
        yield "must hold 0, the final output"
    if max(scales) > top:
        yield f"the decoder starts at level {top} (n_upconv) and has no scale above"


def _task_count(config: Config) -> Iterator[Mistake]:
    setup = config.setup
    if setup.method != "baseline" and len(setup.tasks) == 1:
        message = f"'{setup.name}' exchanges features between tasks and has {setup.tasks[0]} alone"
        yield _TASKS, f"{message}; a single task is setup.name 'baseline'"
    elif setup.method == "padnet" and all(head.auxiliary for head in setup.model.tasks.values()):
        yield _TASKS, "every task is auxiliary; at least one must be predicted in the end"


def _backbone(config: Config) -> Iterator[Mistake]:
    model = config.setup.model
    if any(model.dilation) and model.backbone in UNDILATED:
        message = f"{model.backbone} has no dilated form: must be [False, False, False] or False"
        yield "setup.model.use_dilation", f"{message} (or take a deeper backbone)"


def _decoder_sections(config: Config) -> Iterator[Mistake]:
    """Sections run down all levels once; exchanges stand between them, where the decoders have one width."""
    setup, exchange = config.setup, config.setup.kwargs
    heads = setup.model.tasks
    if setup.method not in ("padnet+", "ours-cxatt"):
        return
    depths = {task: head.kwargs.n_upconv for task, head in heads.items()}
    top = max(depths.values())
    stages = [THREE_WAYS_LEVEL]
    if setup.method == "ours-cxatt":
        sections = [[level for level in section if level <= top] for section in exchange.enc_layers]
        levels = list(range(top, -1, -1))
        if [level for section in sections for level in section] != levels or not all(sections):
            message = f"must be the levels {levels} in this order, cut into sections, got {exchange.enc_layers}"
            yield "setup.kwargs.enc_layers", message
            return
        stages = [section[-1] for section in sections[:-1]]
        if exchange.stages != stages:
            message = f"must be {stages}, the last level of each section but the last of {exchange.enc_layers}"
            yield "setup.kwargs.stages", f"{message}, got {exchange.stages}"
    for stage in stages:
        widths = {task: head.kwargs.num_ch_dec[stage] for task, head in heads.items()}
        message = f"the tasks exchange features at level {stage} and must agree on kwargs.num_ch_dec[{stage}]"
        yield from _unequal(widths, message)
    yield from _unequal(depths, "decoders that exchange features must agree on kwargs.n_upconv")
    if top < max(stages, default=0):
        yield _TASKS, f"the decoders exchange features at level {stages[0]}: n_upconv must be {stages[0]} or more"


def _unequal(values: Mapping[TaskName, int], message: str) -> Iterator[Mistake]:
    """A mistake where the tasks have different values."""
    if len(set(values.values())) > 1:
        yield _TASKS, f"{message}, got {', '.join(f'{task} {value}' for task, value in values.items())}"


def _source_order(config: Config) -> Iterator[Mistake]:
    tasks = config.setup.tasks
    for target, sources in (config.setup.kwargs.source_order or {}).items():
        others = [task for task in tasks if task != target]
        if target not in tasks:
            yield f"setup.kwargs.source_order.{target}", f"the network has no such task, it has {', '.join(tasks)}"
        elif sorted(sources) != sorted(others):
            message = f"must list the other tasks ({', '.join(others) or 'none'}) in their order, got {sources}"
            yield f"setup.kwargs.source_order.{target}", message


def _losses(config: Config) -> Iterator[Mistake]:
    setup, data = config.setup, config.data.source
    for task, loss in setup.loss.tasks.items():
        path, kwargs = f"{_LOSS}.tasks.{task}", loss.kwargs
        fitting = TASKS[task].losses
        if task == "normals":  # derived from depth where they are not stored
            fitting = ("gt_normals",) if task in DATASETS[data.dataset].stored else ("normals",)
        if loss.loss not in fitting:
            where = f" on {data.dataset}" if task == "normals" else ""
            yield f"{path}.loss", f"the loss of {task}{where} is {' or '.join(fitting)}, got {loss.loss}"
        if kwargs.n_classes not in (None, data.n_classes):
            message = f"must be {data.n_classes}, data.n_classes, or left out, got {kwargs.n_classes}"
            yield f"{path}.kwargs.n_classes", message
        if task not in setup.tasks:
            continue
        scales = setup.output_scales(task)
        beyond = [scale for scale in kwargs.scales if scale not in scales]
        path = f"{path}.kwargs.scales"
        if beyond:
            yield path, f"the network predicts {task} at the scales {list(scales)}, not at {beyond}"
        elif 0 in scales and 0 not in kwargs.scales:
            yield path, f"must hold 0, the final output, got {kwargs.scales}"
        elif task == "disp" and setup.method == "padnet" and kwargs.scales != [0]:
            # Smoothness is weighted as if scale k were 1 / 2^k of the image; PAD-Net's scale 2 is coarser.
            message = "the first of PAD-Net's predictions, scale 2, is too coarse for depth from video: must be [0]"
            yield path, f"{message}, got {kwargs.scales}"


def _video_task(config: Config) -> Iterator[Mistake]:
    setup = config.setup
    if "disp" in setup.tasks and not setup.is_video_depth:
        message = "disparity is learned from video only: setup.name needs the suffix _monodepth"
        yield f"{_TASKS}.disp", f"{message} (or name the task depth), got '{setup.name}'"
    if setup.is_video_depth and "disp" not in setup.tasks:
        message = f"'{setup.name}' learns disparity from video and needs a task disp, got {', '.join(setup.tasks)}"
        yield _TASKS, message


def _learning_rates(config: Config) -> Iterator[Mistake]:
    """Names of parameter groups; some have the prefix `main.` or `monodepth.` in published files."""
    setup = config.setup
    groups = ["backbone", *(f"{kind}.{task}" for kind in ("heads", "params") for task in setup.tasks)]
    if setup.is_video_depth:
        groups.append("monodepth.pose_net")
    stems = [group.removeprefix("monodepth.") for group in groups]
    named: dict[str, str] = {}
    for key in setup.lr:
        short = without_wrapper(key)
        known = key == "default" or short == "heads" or any(f"{short}.".startswith(f"{stem}.") for stem in stems)
        if not known:
            yield f"setup.lr.{key}", f"no such group of parameters; {closest_hint(key, ['default', *groups])}"
        elif short in named:
            yield f"setup.lr.{key}", f"names the same parameters as '{named[short]}'"
        named.setdefault(short, key)


NETWORK_CHECKS: tuple[Callable[[Config], Iterator[Mistake]], ...] = (
    _tasks_agree, _heads, _task_count, _backbone, _decoder_sections, _source_order, _losses, _video_task,
    _learning_rates,
)  # fmt: skip
