"""Fine-tuning: a network that starts from the weights of another, with other classes or, where allowed, other tasks."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from models.exchange import TaskExchange
from models.published import concerns, is_published, load_weights, tasks_of, to_published
from utils.config.schema.setup import SetupConfig
from utils.errors import UserError


def start_from(network: nn.Module, state: Mapping[str, Tensor], setup: SetupConfig, *, partial: bool) -> list[str]:
    """Load weights with our names or published ones into a network that is to be trained.

    What starts anew stays as the network has it: prediction layers of another number of channels and, with `partial`,
    the heads and exchanges of tasks that the weights lack, and where all tasks' features meet. All else must fit.

    Args:
        network: the network that `setup` describes.
        state: the weights.
        setup: the setup section.
        partial: the tasks may differ; what the weights have of further tasks is left out.

    Returns:
        Our names of the modules that start anew, each the outermost of which that is wholly true.

    Raises:
        UserError: other tasks without `partial`, or what else does not fit; the network is left as it was.
    """
    theirs = tasks_of(state)
    new, gone = set(network.tasks) - set(theirs), set(theirs) - set(network.tasks)
    if theirs and (new or gone) and not partial:
        raise UserError(
            f"--weights: they are weights of the tasks {', '.join(theirs)}, the config has {', '.join(network.tasks)}; "
            "with --weights-partial, training starts from what both have"
        )
    own = network.state_dict()
    naming = dict(zip(own, to_published(own, setup, aliases=False) if is_published(state) else own, strict=True))
    anew: set[str] = set()
    for head in network.heads.values():
        for layer in head.prediction_layers:
            names = _names(network, [layer])
            if any(_differs_in_channels(own[name], state.get(naming[name])) for name in names):
                anew |= names
    if new or gone:
        anew |= {name for name in own if concerns(name, new)}
        anew |= _names(network, [part.fuse for part in network.modules() if isinstance(part, TaskExchange)])
    kept = {name: value for name, value in state.items() if not concerns(name, gone)}
    load_weights(network, kept | {naming[name]: own[name] for name in anew}, setup)
    return _whole_modules(network, anew)


def _differs_in_channels(own: Tensor, given: Tensor | None) -> bool:
    """Whether the number of output channels, and nothing else, differs."""
    return given is not None and own.shape != given.shape and own.shape[1:] == given.shape[1:]


def _names(network: nn.Module, parts: Iterable[nn.Module]) -> set[str]:
    """What the network calls the weights of some of its modules."""
    tensors = {id(tensor) for part in parts for tensor in part.state_dict(keep_vars=True).values()}
    return {name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in tensors}


def _whole_modules(module: nn.Module, names: set[str], prefix: str = "") -> list[str]:
    """The outermost modules with no other weights than those of `names`."""
    own = {prefix + name for name in module.state_dict()}
    if own and own <= names:
        return [prefix.removesuffix(".")]
    children = module.named_children()
    return [found for name, child in children for found in _whole_modules(child, names, f"{prefix}{name}.")]
