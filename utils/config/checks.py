"""Checks of an experiment that need several sections: data, training, optimizer. The network's: `checks_network`.

Every check yields `(key path, message)` for each mistake, so that all are reported together.
"""

from collections.abc import Iterator, Sequence

from utils.config.checks_network import NETWORK_CHECKS
from utils.config.messages import KeyPath, Problem
from utils.config.schema import Config
from utils.config.schema.data import DATASETS
from utils.config.schema.loss import Photometric


def crosscheck(config: Config, *, trains: bool) -> list[Problem]:
    """All that is wrong between the sections of a config, as `(key path, message)`.

    Args:
        config: a config whose sections are valid each.
        trains: whether the run trains; some mistakes matter to training only.
    """
    checks = [*NETWORK_CHECKS, _datasets, _image_sizes, _video, _adaptation]
    if trains:
        checks.append(_batch_of_one)
    return [problem for check in checks for problem in check(config)]


def surprises(config: Config) -> Iterator[Problem]:
    """What a published experiment file says and the published code never did; a warning each."""
    adaptation = config.training.da
    if adaptation is not None and adaptation.start is not None and config.optim.clip_grad_norm:
        message = "applies, although the figures reported of domain adaptation were made without; null switches it off"
        yield ("optim", "clip_grad_norm"), message


def _datasets(config: Config) -> Iterator[Problem]:
    """Label sets, stored maps and video that a dataset has."""
    tasks = config.setup.tasks
    for role, dataset in config.data.datasets.items():
        facts = DATASETS[dataset.dataset]
        if dataset.n_classes not in facts.n_classes:
            choices = " or ".join(map(str, facts.n_classes))
            message = f"{dataset.dataset} has label sets of {choices} classes, got {dataset.n_classes}"
            yield ("data", role, "n_classes"), message
        for task in tasks:
            if facts.map_of(task) not in facts.stored:
                owners = " or ".join(name for name, other in DATASETS.items() if task in other.stored)
                message = f"labelled on {owners} only, the dataset is {dataset.dataset}"
                yield ("setup", "model", "tasks", task), message
        if dataset.load_sequences and not facts.sequences:
            owners = " or ".join(name for name, other in DATASETS.items() if other.sequences)
            yield ("data", role, "load_sequences"), f"{dataset.dataset} has no video sequences, {owners} has"


def _image_sizes(config: Config) -> Iterator[Problem]:
    """Skip features meet the decoder's only where every halving of the image is exact."""
    model = config.setup.model
    stride = model.output_stride
    for role, dataset in config.data.datasets.items():
        keys = [("crop_h" if dataset.crop_h else "height", dataset.output_size[0])]
        keys += [("crop_w" if dataset.crop_w else "width", dataset.output_size[1])]
        if dataset is config.data.validation and not dataset.crop_center:
            keys += [("height", dataset.height), ("width", dataset.width)]  # validation takes the whole image
        for key, size in dict(keys).items():
            if size % stride:
                near = max(stride, round(size / stride) * stride)
                message = f"{size} is not divisible by {stride}, the output stride of {model.backbone}"
                yield ("data", role, key), f"{message} with use_dilation {list(model.dilation)}; {near} would be"


def _video(config: Config) -> Iterator[Problem]:
    """Depth from video needs neighbouring frames, and the target frame at each scale of the disparity."""
    setup, data = config.setup, config.data.source
    if not setup.is_video_depth:
        return
    if not data.load_sequences:
        yield ("data", "source", "load_sequences"), f"'{setup.name}' learns depth from video: must be True"
    if len(data.frame_ids) < 2:
        message = f"'{setup.name}' needs neighbouring frames beside frame 0, such as [0, -1, 1], got {data.frame_ids}"
        yield ("data", "source", "frame_ids"), message
    if "disp" in setup.tasks:
        # PAD-Net's disparity is supervised at its final scale alone (checks_network).
        largest = 0 if setup.method == "padnet" else max(setup.output_scales("disp"))
        if data.num_scales <= largest:
            message = f"disp has scales up to {largest}: must be at least {largest + 1}, got {data.num_scales}"
            yield ("data", "source", "num_scales"), message
    yield from _frame_lists(config)


def _frame_lists(config: Config) -> Iterator[Problem]:
    """The loss warps frames whose motion the pose network predicts, which sees frames that are loaded."""
    loaded, loss = config.data.source.frame_ids, config.setup.loss.tasks.get("disp")
    pose_path = ("setup", "model", "pose_kwargs", "frame_ids")
    loss_path = ("setup", "loss", "tasks", "disp", "kwargs", "frame_ids")
    pose = config.setup.model.pose_kwargs
    seen = (pose and pose.frame_ids) or loaded
    warped = (isinstance(loss, Photometric) and loss.kwargs.frame_ids) or loaded
    users: list[tuple[KeyPath, Sequence[int]]] = [(pose_path, seen), (loss_path, warped)]
    unknown = {path: [frame for frame in frames if frame not in loaded] for path, frames in users}
    for path, missing in unknown.items():
        if missing:
            yield path, f"the frames {missing} are not among data.frame_ids {loaded}"
    still = [frame for frame in warped if frame not in (0, *seen)]
    if still and not any(unknown.values()):
        yield loss_path, f"the frames {still} are not among setup.model.pose_kwargs.frame_ids {seen}: no pose for them"
    if set(warped) <= {0} < set(loaded):
        yield loss_path, f"must hold a neighbouring frame, got {warped}"
    if 0 not in seen or (set(seen) <= {0} < set(loaded)):
        yield pose_path, f"must hold frame 0 and a neighbour, got {seen}"


def _adaptation(config: Config) -> Iterator[Problem]:
    """Domain adaptation: what source and target share, and which predictions can be aligned."""
    data, adaptation, setup = config.data, config.training.da, config.setup
    if data.target is None:
        if adaptation is not None:
            yield ("training", "da"), "adapts to data.target, which is missing; give it or remove training.da"
        return
    if adaptation is None:
        message = "data.target is given: say how to adapt (training.da: {doda: True, ...}) or not to (doda: False)"
        yield ("training", "da"), message
    if data.target.n_classes != data.source.n_classes:
        message = f"source and target share their classes: {data.source.n_classes} and {data.target.n_classes} differ"
        yield ("data", "target", "n_classes"), message
    if data.target.output_size != data.source.output_size:
        sizes = [f"{height}x{width}" for height, width in (data.source.output_size, data.target.output_size)]
        yield (
            ("data", "target"),
            f"source and target samples must have one size (height x width), got {' and '.join(sizes)}",
        )
    if setup.is_video_depth:
        yield ("setup", "name"), f"'{setup.name}' learns depth from video, which does not go with data.target"
    if adaptation is not None and adaptation.start is not None:
        for task in setup.tasks:
            scales = setup.output_scales(task)
            missing = [scale for scale in adaptation.ent_align if scale not in scales]
            if missing:
                message = f"the scales {missing} are not among those of {task}, {list(scales)}"
                yield ("training", "da", "ent_align"), message


def _batch_of_one(config: Config) -> Iterator[Problem]:
    """Image pooling leaves one pixel an image, and batch norm needs two values to train."""
    setup = config.setup
    if config.data.train_bs > 1 or config.training.sync_bn or setup.method == "padnet":
        return
    for task, head in setup.model.tasks.items():
        pooled_aspp = head.kwargs.intermediate_aspp and head.kwargs.aspp_pooling
        if head.head == "deeplab" or pooled_aspp:
            what = "its deeplab head" if head.head == "deeplab" else "its ASPP (aspp_pooling)"
            message = (
                f"1 image cannot train {task}: {what} pools it to one pixel, over which batch norm has no variance"
            )
            yield ("data", "train_bs"), f"{message}; set it to 2 or more"
            return
