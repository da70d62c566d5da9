"""Weight names: ours, which explain themselves, and those of the weights published with the paper, both ways.

The published files belong to Lopes et al., WACV 2023 (https://github.com/cv-rits/DenseMTL/releases/tag/weights). They
hold most weights twice, under names that begin with `params.`; these aliases are ignored when reading, and written so
that the published code can load what is exported here.
"""

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from models.baseline import Baseline
from models.decoder import Decoder
from models.deeplab import RATES
from models.densemtl import DenseMTL
from models.network import Exchange, MultiTaskNetwork
from models.video_depth import VideoDepth
from models.weights import mismatches
from utils.errors import UserError
from vendor.three_ways.aspp import ASPP

Network = MultiTaskNetwork | VideoDepth
# Beginnings that only published names have.
PUBLISHED_PREFIXES = ("backbone.encoder.", "m.", "params.")
WRAPPER = "main."  # the multi-task network inside one that learns depth from video
POSE = "monodepth.pose_net."


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has published names."""
    return any(name.removeprefix(WRAPPER).startswith((*PUBLISHED_PREFIXES, POSE)) for name in state)


def to_published(state: Mapping[str, Tensor], network: Network, *, aliases: bool = True) -> dict[str, Tensor]:
    """Rename a network's state dict to published names; `aliases` adds the doubles that the published code expects.

    Raises:
        UserError: a network of which no published names are known, or a name that is not one of ours.
    """
    names = _module_names(network)
    published = {rename(name, names): value for name, value in state.items()}
    if aliases and _exchanges(network):
        published |= {alias: value for name, value in published.items() if (alias := _alias(name))}
    return published


def from_published(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """Rename a state dict with published names to ours and leave the aliases out.

    Raises:
        UserError: a network of which no published names are known, or an unknown name.
    """
    names = {published: ours for ours, published in _module_names(network).items()}
    return {
        rename(name, names): value
        for name, value in state.items()
        if not name.removeprefix(WRAPPER).startswith("params.")
    }


def tasks_of(state: Mapping[str, Tensor]) -> list[str]:
    """The tasks that a state dict, in either naming, has heads of."""
    parts = (name.removeprefix(WRAPPER).split(".") for name in state)
    return list(dict.fromkeys(part[1] for part in parts if part[0] == "heads" and len(part) > 1))


def concerns(name: str, tasks: Collection[str]) -> bool:
    """Whether a weight, in either naming, is part of one of these tasks' heads or exchanges.

    Both name the task as a part of its own, or (published) as the end of one, such as `SA_depth`.
    """
    return any(part.rpartition("_")[2] in tasks for part in name.split("."))


def load_weights(network: Network, state: Mapping[str, Tensor]) -> None:
    """Load weights with our names or published ones.

    Raises:
        UserError: lists missing, unexpected and misshapen names, in the naming of `state`; the network is left as it
            was.
    """
    expected = network.state_dict()
    given = state
    published = is_published(state)
    if published:
        expected = to_published(expected, network, aliases=False)
        if _exchanges(network):
            aliases = {_alias(name) for name in expected}
            given = {name: value for name, value in given.items() if name not in aliases}
    problems = mismatches(expected, given)
    if problems:
        naming = "published" if published else "this project's"
        header = f"the weights ({naming} names) do not fit the network of the config ({type(_main(network)).__name__}):"
        raise UserError("\n  ".join([header, *_hints(expected, given, network.tasks), *problems]))
    network.load_state_dict(from_published(given, network) if published else given, strict=True)


def source_orders_of(state: Mapping[str, Tensor], tasks: Sequence[str]) -> dict[str, list[str]]:
    """In which order published weights of three tasks and more may expect each target's sources.

    The published code concatenated them in the order of a Python set of strings, which changes from run to run and was
    not saved. Its modules were created in such an order too, so the order of names in the file is the best guess.
    """
    orders: dict[str, list[str]] = {target: [] for target in tasks}
    for name in state:
        parts = name.removeprefix(WRAPPER).split(".")
        if parts[0] == "m" and parts[1] in orders and parts[3].startswith("proj_"):
            source = parts[3].removeprefix("proj_")
            if source not in orders[parts[1]]:
                orders[parts[1]].append(source)
    return orders


def decoder_names(decoder: Decoder) -> dict[str, str]:
    """Our module -> published module of a skip decoder alone, down to where the parameters' own names agree.

    The published decoder is a list. Levels from the coarsest: first block, skip (absent at level 0 and without skips),
    second block; then the predictions.
    """
    names: dict[str, str] = {}
    position = 0
    for level, block in decoder.levels.items():
        for part, module in block.named_children():
            ours, published = f"levels.{level}.{part}", f"decoder.{position}"
            if isinstance(module, ASPP):
                names |= _aspp_names(ours, published, n_rates=len(module.dilated))
            elif part == "skip":
                names |= _unit(ours, published)
            else:
                names |= {f"{ours}.conv": f"{published}.block.0.conv", f"{ours}.norm": f"{published}.block.1"}
            position += 1
    names |= {f"predictions.{scale}": f"decoder.{position + k}" for k, scale in enumerate(decoder.predictions)}
    return names


def _main(network: Network) -> MultiTaskNetwork:
    return network.main if isinstance(network, VideoDepth) else network


def _exchanges(network: Network) -> Mapping[str, Exchange]:
    """The exchanges by level, of the one network whose exchanges were published."""
    main = _main(network)
    return main.exchanges if isinstance(main, DenseMTL) else {}


def _module_names(network: Network) -> dict[str, str]:
    """Our module -> published module, down to where the parameters' own names agree."""
    main = _main(network)
    if not isinstance(main, Baseline | DenseMTL):
        raise UserError(f"there are no published weights, and so no published names, of {type(main).__name__}")
    names = {"backbone": "backbone.encoder"}
    for task, head in main.heads.items():
        pairs = decoder_names(head) if isinstance(head, Decoder) else _deeplab_names()
        names |= {f"heads.{task}.{ours}": f"heads.{task}.{published}" for ours, published in pairs.items()}
    for level, exchange in _exchanges(network).items():
        for target in exchange:
            pairs = _exchange_names([source for source in main.tasks if source != target])
            names |= {f"exchanges.{level}.{target}.{ours}": f"m.{target}.{level}.{pub}" for ours, pub in pairs.items()}
    if isinstance(network, VideoDepth):
        names = {WRAPPER + ours: WRAPPER + published for ours, published in names.items()}
        names |= {"pose_net.encoder": POSE + "encoder.encoder", "pose_net.decoder": POSE + "decoder"}
    return names


def _deeplab_names() -> dict[str, str]:
    aspp = _aspp_names("aspp", "0", n_rates=len(RATES))
    return aspp | {"refine.conv": "1", "refine.norm": "2", "predict": "4"}


def _aspp_names(ours: str, published: str, *, n_rates: int) -> dict[str, str]:
    names = _unit(f"{ours}.pointwise", f"{published}.convs.0")
    for k in range(n_rates):
        names |= _unit(f"{ours}.dilated.{k}", f"{published}.convs.{k + 1}")
    # The pooling itself is number 0.
    names |= _unit(f"{ours}.pooled", f"{published}.convs.{n_rates + 1}", start=1)
    return names | _unit(f"{ours}.project", f"{published}.project")


def _exchange_names(sources: Sequence[str]) -> dict[str, str]:
    names = _unit("fuse", "post")
    for source in sources:
        ours = f"directions.{source}"
        names |= {
            f"{ours}.extract": f"extract_{source}.0",
            f"{ours}.self_attention.gate": f"SA_{source}.attention.0",
            f"{ours}.self_attention.conv": f"SA_{source}.conv",
            f"{ours}.attention": f"SxTAM_{source}",  # its alpha
        }
        for part, letter in (("query", "b"), ("key", "c"), ("value", "d")):
            names |= _unit(f"{ours}.attention.{part}", f"SxTAM_{source}.conv_{letter}")
        names |= _unit(f"{ours}.project", f"proj_{source}")
    return names


def _unit(ours: str, published: str, *, start: int = 0) -> dict[str, str]:
    """Convolution and batch norm, which the published module numbers."""
    return {f"{ours}.conv": f"{published}.{start}", f"{ours}.norm": f"{published}.{start + 1}"}


def rename(name: str, names: Mapping[str, str]) -> str:
    """Replace the longest known module at the beginning of a weight's name."""
    module, rest = name, ""
    while module:
        module, _, last = module.rpartition(".")
        rest = f".{last}{rest}"
        if module in names:
            return names[module] + rest
    raise UserError(f"unknown weight {name!r}")


def _alias(name: str) -> str | None:
    """The other published name of a weight: heads.<task>.* = params.<task>.0.*, m.<task>.* = params.<task>.1.*."""
    wrapper = WRAPPER if name.startswith(WRAPPER) else ""
    kind, task, weight = name.removeprefix(wrapper).split(".", 2)
    number = {"heads": 0, "m": 1}.get(kind)
    return None if number is None else f"{wrapper}params.{task}.{number}.{weight}"


def _hints(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], tasks: Sequence[str]) -> list[str]:
    """What the mismatches have in common, as far as the config can cure it."""
    hints = []
    theirs = tasks_of(given)
    if theirs and sorted(theirs) != sorted(tasks):
        hints.append(f"they are weights of the tasks {', '.join(theirs)}; the config has {', '.join(tasks)}")
    missing = [name for name in expected if name not in given]
    resized = [name for name in expected if name in given and expected[name].shape[1:] != given[name].shape[1:]]
    if any(name.removeprefix(WRAPPER).startswith("backbone.") for name in (*missing, *resized)):
        hints.append("their encoder is another one")
    elif any(name.removeprefix(WRAPPER).startswith("heads.") for name in resized):
        hints.append("their decoders have other widths")
    if hints:
        hints.append("the config that belongs to the weights of a run is its folder's: --config RUN/cfg.yml")
    return hints
