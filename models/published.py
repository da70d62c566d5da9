"""Weight names: ours, which explain themselves, and those of the weights published with the paper, both ways.

The published files belong to Lopes et al., WACV 2023 (https://github.com/cv-rits/DenseMTL/releases/tag/weights). They
hold most weights twice, under names that begin with `params.`; these aliases are ignored when reading, and written so
that the published code can load what is exported here.
"""

from collections.abc import Collection, Iterator, Mapping

from torch import Tensor, nn

from models.weights import mismatches, shapes
from utils.config.schema.setup import HeadKwargs, SetupConfig
from utils.console import LOGGER
from utils.errors import UserError

# Beginnings that only published names have.
PUBLISHED_PREFIXES = ("backbone.encoder.", "m.", "params.")
WRAPPER = "main."  # the multi-task network inside one that learns depth from video
POSE = "monodepth.pose_net."

Pairs = Iterator[tuple[str, str]]  # (our module, published module)


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has published names."""
    return any(name.removeprefix(WRAPPER).startswith((*PUBLISHED_PREFIXES, POSE)) for name in state)


def to_published(state: Mapping[str, Tensor], setup: SetupConfig, *, aliases: bool = True) -> dict[str, Tensor]:
    """Rename a state dict of ours to published names; `aliases` adds the doubles that the published code expects.

    Raises:
        UserError: a setup of which no published names are known, or a name that is not one of ours.
    """
    names = _module_names(setup)
    published = {_rename(name, names): value for name, value in state.items()}
    if aliases:
        doubles = {alias: value for name, value in published.items() for alias in _aliases(name, setup)}
        published.update(doubles)
    return published


def from_published(state: Mapping[str, Tensor], setup: SetupConfig) -> dict[str, Tensor]:
    """Rename a state dict with published names to ours and leave the aliases out.

    Raises:
        UserError: a setup of which no published names are known, or an unknown name.
    """
    names = {published: ours for ours, published in _module_names(setup).items()}
    return {
        _rename(name, names): value
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


def load_weights(model: nn.Module, state: Mapping[str, Tensor], setup: SetupConfig) -> None:
    """Load weights with our names or published ones into the network that `setup` describes.

    Raises:
        UserError: lists missing, unexpected and misshapen names, in the naming of `state`; the model is left as it was.
    """
    expected = model.state_dict()
    optional: set[str] = set()
    published = is_published(state)
    if published:
        expected = to_published(expected, setup, aliases=False)
        optional = {alias for name in expected for alias in _aliases(name, setup)}
    given = {name: value for name, value in state.items() if name not in optional}
    problems = mismatches(shapes(expected), shapes(given))
    if problems:
        naming = "published" if published else "this project's"
        header = f"the weights ({naming} names) do not fit the network of the config ({setup.name}):"
        raise UserError("\n  ".join([header, *_hints(shapes(expected), given, setup), *problems]))
    if published:
        _warn_of_unknown_order(given, setup)
        given = from_published(given, setup)
    model.load_state_dict(given, strict=True)


def _decoder_modules(kwargs: HeadKwargs) -> list[str]:
    """Our names of a skip decoder's modules, at their positions in the published `decoder` list.

    Levels from the coarsest: first block, skip (absent at level 0 and without skips), second block; then predictions.
    """
    modules = []
    for level in range(kwargs.n_upconv, -1, -1):
        modules.append(f"levels.{level}.enter")
        if kwargs.use_skips and level > 0:
            modules.append(f"levels.{level}.skip")
        modules.append(f"levels.{level}.merge")
    return modules + [f"predictions.{scale}" for scale in kwargs.active_scales]


def _module_names(setup: SetupConfig) -> dict[str, str]:
    """Our module -> published module, down to where the parameters' own names agree."""
    if setup.method not in ("baseline", "ours-cxatt"):
        raise UserError(f"there are no published weights, and so no published names, of setup.name {setup.name!r}")
    names = {"backbone": "backbone.encoder"}
    for task, cfg in setup.model.tasks.items():
        pairs = _decoder_pairs(cfg.kwargs) if cfg.head == "padnet+" else _deeplab_pairs()
        names |= {f"heads.{task}.{ours}": f"heads.{task}.{published}" for ours, published in pairs}
    if setup.method == "ours-cxatt":
        for level in setup.kwargs.stages:
            for target in setup.tasks:
                pairs = _exchange_pairs([source for source in setup.tasks if source != target])
                names |= {f"exchanges.{level}.{target}.{ours}": f"m.{target}.{level}.{pub}" for ours, pub in pairs}
    if setup.is_video_depth:
        names = {WRAPPER + ours: WRAPPER + published for ours, published in names.items()}
        names |= {"pose_net.encoder": POSE + "encoder.encoder", "pose_net.decoder": POSE + "decoder"}
    return names


def _decoder_pairs(kwargs: HeadKwargs) -> Pairs:
    for position, ours in enumerate(_decoder_modules(kwargs)):
        published = f"decoder.{position}"
        if ours == f"levels.{kwargs.n_upconv}.enter" and kwargs.intermediate_aspp:
            yield from _aspp_pairs(ours, published, n_rates=len(kwargs.aspp_rates))
        elif ours.endswith(".skip"):
            yield from _numbered(ours, published, "conv", "norm")
        elif ours.startswith("levels."):
            yield f"{ours}.conv", f"{published}.block.0.conv"
            yield f"{ours}.norm", f"{published}.block.1"
        else:
            yield ours, published


def _deeplab_pairs() -> Pairs:
    yield from _aspp_pairs("aspp", "0", n_rates=3)
    yield "refine.conv", "1"
    yield "refine.norm", "2"
    yield "predict", "4"


def _aspp_pairs(ours: str, published: str, *, n_rates: int) -> Pairs:
    yield from _numbered(f"{ours}.pointwise", f"{published}.convs.0", "conv", "norm")
    for k in range(n_rates):
        yield from _numbered(f"{ours}.dilated.{k}", f"{published}.convs.{k + 1}", "conv", "norm")
    # The pooling itself is number 0.
    yield from _numbered(f"{ours}.pooled", f"{published}.convs.{n_rates + 1}", "conv", "norm", start=1)
    yield from _numbered(f"{ours}.project", f"{published}.project", "conv", "norm")


def _exchange_pairs(sources: list[str]) -> Pairs:
    for source in sources:
        ours = f"directions.{source}"
        yield f"{ours}.extract", f"extract_{source}.0"
        yield f"{ours}.self_attention.gate", f"SA_{source}.attention.0"
        yield f"{ours}.self_attention.conv", f"SA_{source}.conv"
        yield f"{ours}.attention", f"SxTAM_{source}"  # its alpha
        for part, letter in (("query", "b"), ("key", "c"), ("value", "d")):
            yield from _numbered(f"{ours}.attention.{part}", f"SxTAM_{source}.conv_{letter}", "conv", "norm")
        yield from _numbered(f"{ours}.project", f"proj_{source}", "conv", "norm")
    yield from _numbered("fuse", "post", "conv", "norm")


def _numbered(ours: str, published: str, *children: str, start: int = 0) -> Pairs:
    """Children with names of ours, which the published module numbers."""
    for number, child in enumerate(children, start):
        yield f"{ours}.{child}", f"{published}.{number}"


def _rename(name: str, names: Mapping[str, str]) -> str:
    """Replace the longest known module at the beginning of a weight's name."""
    module, rest = name, ""
    while module:
        module, _, last = module.rpartition(".")
        rest = f".{last}{rest}"
        if module in names:
            return names[module] + rest
    raise UserError(f"unknown weight {name!r}")


def _aliases(name: str, setup: SetupConfig) -> list[str]:
    """The other published name of a weight: heads.<task>.* = params.<task>.0.*, m.<task>.* = params.<task>.1.*."""
    if setup.method != "ours-cxatt":
        return []
    wrapper = WRAPPER if name.startswith(WRAPPER) else ""
    kind, _, rest = name.removeprefix(wrapper).partition(".")
    number = {"heads": 0, "m": 1}.get(kind)
    if number is None:
        return []
    task, _, weight = rest.partition(".")
    return [f"{wrapper}params.{task}.{number}.{weight}"]


def _hints(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], setup: SetupConfig) -> list[str]:
    """What the mismatches have in common, as far as the config can mend it."""
    hints = []
    tasks = tasks_of(given)
    if tasks and sorted(tasks) != sorted(setup.tasks):
        hints.append(f"they are weights of the tasks {', '.join(tasks)}; the config has {', '.join(setup.tasks)}")
    missing = [name for name in expected if name not in given]
    resized = [name for name, shape in expected.items() if name in given and shape[1:] != tuple(given[name].shape)[1:]]
    if any(name.removeprefix(WRAPPER).startswith("backbone.") for name in (*missing, *resized)):
        hints.append("their encoder is another one (setup.model.backbone)")
    elif any(name.removeprefix(WRAPPER).startswith("heads.") for name in resized):
        hints.append("their decoders have other widths (setup.model.tasks.<task>.kwargs.num_ch_dec)")
    if hints:
        hints.append("the config that belongs to the weights of a run is its folder's: --config RUN/cfg.yml")
    return hints


def _warn_of_unknown_order(state: Mapping[str, Tensor], setup: SetupConfig) -> None:
    """Say that published weights of three tasks and more may expect their sources in another order.

    The published code concatenated them in the order of a Python set of strings, which changes from run to run and was
    not saved. Its modules were created in such an order too, so the order of names in the file is the best guess.
    """
    unsaid = [task for task in setup.tasks if task not in (setup.kwargs.source_order or {})]
    if setup.method != "ours-cxatt" or len(setup.tasks) < 3 or not unsaid:
        return
    guess: dict[str, list[str]] = {target: [] for target in unsaid}
    for name in state:
        parts = name.removeprefix(WRAPPER).split(".")
        if parts[0] == "m" and parts[1] in guess and parts[3].startswith("proj_"):
            source = parts[3].removeprefix("proj_")
            if source not in guess[parts[1]]:
                guess[parts[1]].append(source)
    orders = ", ".join(f"{target}: [{', '.join(sources)}]" for target, sources in guess.items())
    LOGGER.warning(
        "published weights of %d tasks: the order in which each task's sources were concatenated in training is not "
        "known (it followed Python's hash seed), and a wrong one spoils the predictions. The order of the config's "
        "tasks is taken. The names in the file suggest setup.kwargs.source_order: {%s}",
        len(setup.tasks),
        orders,
    )
