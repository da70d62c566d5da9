"""Checks of an experiment that need several sections: data, training, optimizer. The network's: `checks_network`.

Every check yields the dotted key and the message of each mistake, so that all are reported together.
"""

from collections.abc import Iterator

from utils.config.checks_network import NETWORK_CHECKS, Mistake
from utils.config.messages import Problem
from utils.config.schema import Config
from utils.config.schema.data import DATASETS
from utils.config.schema.loss import Photometric


def crosscheck(config: Config, *, trains: bool) -> list[Problem]:
    """All mistakes between the sections of a config; some matter only to a run that `trains`."""
    checks = [*NETWORK_CHECKS, _datasets, _image_sizes, _video, _adaptation, *([_batch_of_one] if trains else [])]
    return [(tuple(key.split(".")), message) for check in checks for key, message in check(config)]


def surprises(config: Config) -> Iterator[Mistake]:
    """Words of published experiment files that the published code ignores, but this one does not; a warning each."""
    adaptation = config.training.da
    if adaptation is not None and adaptation.start is not None and config.optim.clip_grad_norm:
        message = "applies, although the published figures of domain adaptation were made without; null switches it off"
        yield "optim.clip_grad_norm", message


def _datasets(config: Config) -> Iterator[Mistake]:
    """Label sets, stored maps and video that a dataset has."""
    for role, dataset in config.data.datasets.items():
        facts = DATASETS[dataset.dataset]
        if dataset.n_classes not in facts.n_classes:
            choices = " or ".join(map(str, facts.n_classes))
            message = f"{dataset.dataset} has label sets of {choices} classes, got {dataset.n_classes}"
            yield f"data.{role}.n_classes", message
        for task in config.setup.tasks:
            if facts.map_of(task) not in facts.stored:
                owners = " or ".join(name for name, other in DATASETS.items() if task in other.stored)
                message = f"labelled on {owners} only, the dataset is {dataset.dataset}"
                yield f"setup.model.tasks.{task}", message
        if dataset.load_sequences and not facts.sequences:
            owners = " or ".join(name for name, other in DATASETS.items() if other.sequences)
            yield f"data.{role}.load_sequences", f"{dataset.dataset} has no video sequences, {owners} has"


def _image_sizes(config: Config) -> Iterator[Mistake]:
    """Skip features fit the decoder's only where every halving of the image is exact."""
    model = config.setup.model
    stride = model.output_stride
    for role, dataset in config.data.datasets.items():
        height, width = dataset.output_size
        sizes = {"crop_h" if dataset.crop_h else "height": height, "crop_w" if dataset.crop_w else "width": width}
        if dataset is config.data.validation and not dataset.crop_center:
            sizes |= {"height": dataset.height, "width": dataset.width}  # validation takes the whole image
        for key, size in sizes.items():
            if size % stride:
                near = max(stride, round(size / stride) * stride)
                message = f"{size} is not divisible by {stride}, the output stride of {model.backbone}"
                yield f"data.{role}.{key}", f"{message} with use_dilation {list(model.dilation)}; {near} would be"


def _video(config: Config) -> Iterator[Mistake]:
    """Depth from video needs neighbouring frames, and the target frame at each scale of the disparity."""
    setup, data = config.setup, config.data.source
    if not setup.is_video_depth:
        return
    if not data.load_sequences:
        yield "data.source.load_sequences", f"'{setup.name}' learns depth from video: must be True"
    if len(data.frame_ids) < 2:
        message = f"'{setup.name}' needs neighbouring frames besides frame 0, such as [0, -1, 1], got {data.frame_ids}"
        yield "data.source.frame_ids", message
    if "disp" in setup.tasks:
        # PAD-Net's disparity is supervised at its final scale alone (checks_network).
        largest = 0 if setup.method == "padnet" else max(setup.output_scales("disp"))
        if data.num_scales <= largest:
            message = f"disp has scales up to {largest}: must be at least {largest + 1}, got {data.num_scales}"
            yield "data.source.num_scales", message
    yield from _frame_lists(config)


def _frame_lists(config: Config) -> Iterator[Mistake]:
    """The loss warps frames whose motion the pose network predicts from frames that are loaded."""
    loaded, pose = config.data.source.frame_ids, config.setup.model.pose_kwargs
    loss = config.setup.loss.tasks.get("disp")
    pose_key, loss_key = "setup.model.pose_kwargs.frame_ids", "setup.loss.tasks.disp.kwargs.frame_ids"
    posed = (pose and pose.frame_ids) or loaded
    warped = (isinstance(loss, Photometric) and loss.kwargs.frame_ids) or loaded
    lists = {pose_key: posed, loss_key: warped}
    unknown = {key: [frame for frame in frames if frame not in loaded] for key, frames in lists.items()}
    for key, missing in unknown.items():
        if missing:
            yield key, f"the frames {missing} are not among data.frame_ids {loaded}"
    unposed = [frame for frame in warped if frame not in (0, *posed)]
    if unposed and not any(unknown.values()):
        message = f"the frames {unposed} are not among setup.model.pose_kwargs.frame_ids {posed}: no pose for them"
        yield loss_key, message
    if set(warped) <= {0} < set(loaded):
        yield loss_key, f"must hold a neighbouring frame, got {warped}"
    if 0 not in posed or (set(posed) <= {0} < set(loaded)):
        yield pose_key, f"must hold frame 0 and a neighbour, got {posed}"


def _adaptation(config: Config) -> Iterator[Mistake]:
    """Domain adaptation: what source and target share, and which predictions can be aligned."""
    source, target, adaptation, setup = config.data.source, config.data.target, config.training.da, config.setup
    if target is None:
        if adaptation is not None:
            yield "training.da", "adapts to data.target, which is missing; give it or remove training.da"
        return
    if adaptation is None:
        message = "data.target is given: say how to adapt (training.da: {doda: True, ...}) or not to (doda: False)"
        yield "training.da", message
    if target.n_classes != source.n_classes:
        message = f"source and target share their classes: {source.n_classes} and {target.n_classes} differ"
        yield "data.target.n_classes", message
    if target.output_size != source.output_size:
        sizes = " and ".join(f"{height}x{width}" for height, width in (source.output_size, target.output_size))
        yield "data.target", f"source and target samples must have one size (height x width), got {sizes}"
    if setup.is_video_depth:
        yield "setup.name", f"'{setup.name}' learns depth from video, which does not go with data.target"
    if adaptation is not None and adaptation.start is not None:
        for task in setup.tasks:
            scales = setup.output_scales(task)
            missing = [scale for scale in adaptation.ent_align if scale not in scales]
            if missing:
                message = f"the scales {missing} are not among those of {task}, {list(scales)}"
                yield "training.da.ent_align", message


def _batch_of_one(config: Config) -> Iterator[Mistake]:
    """Image pooling leaves one pixel per image, and batch norm needs two values to train."""
    setup = config.setup
    if config.data.train_bs > 1 or config.training.sync_bn or setup.method == "padnet":
        return
    for task, head in setup.model.tasks.items():
        if head.head == "deeplab" or (head.kwargs.intermediate_aspp and head.kwargs.aspp_pooling):
            what = "its deeplab head" if head.head == "deeplab" else "its ASPP (aspp_pooling)"
            message = f"1 image cannot train {task}: {what} pools it to one pixel, and batch norm has no variance"
            yield "data.train_bs", f"{message}; set it to 2 or more"
            return
