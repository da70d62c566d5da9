"""Load weights into networks: strictly, or as far as they fit, to start a training with other classes or tasks."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from models.exchange import TaskExchange
from models.published import Network, concerns, is_published, load_weights, source_orders_of, tasks_of, to_published
from utils.config.schema.setup import SetupConfig
from utils.console import LOGGER
from utils.errors import UserError


def load_network_weights(network: Network, state: Mapping[str, Tensor], setup: SetupConfig) -> None:
    """Load weights with our names or published ones into the network that `setup` describes.

    Raises:
        UserError: they do not fit; the network is left as it was.
    """
    load_weights(network, state)
    unordered = [task for task in setup.tasks if task not in (setup.kwargs.source_order or {})]
    if setup.method == "ours-cxatt" and len(setup.tasks) > 2 and unordered and is_published(state):
        guess = source_orders_of(state, unordered)
        orders = ", ".join(f"{target}: [{', '.join(sources)}]" for target, sources in guess.items())
        LOGGER.warning(
            "published weights of %d tasks: the order in which each task's sources were concatenated in training is "
            "unknown (it followed Python's hash seed), and a wrong one spoils the predictions. The order of the "
            "config's tasks is used. The names in the file suggest setup.kwargs.source_order: {%s}",
            len(setup.tasks), orders,
        )  # fmt: skip


def start_from(network: Network, state: Mapping[str, Tensor], setup: SetupConfig, *, partial: bool) -> list[str]:
    """Load weights with our names or published ones into a network that is to be trained.

    Left as they are, untrained: prediction layers with another number of channels and, with `partial`, the heads and
    exchanges of tasks that the weights lack and the layers that fuse all tasks' features. All else must fit.

    With `partial`, weights of tasks that the network lacks are ignored. Returns our names of the untrained modules, the
    outermost ones that are untrained as a whole.

    Raises:
        UserError: other tasks without `partial`, or anything else that does not fit; the network is left as it was.
    """
    theirs = tasks_of(state)
    new, gone = set(network.tasks) - set(theirs), set(theirs) - set(network.tasks)
    if theirs and (new or gone) and not partial:
        raise UserError(
            f"--weights: they are weights of the tasks {', '.join(theirs)}, the config has {', '.join(network.tasks)}; "
            "with --weights-partial, training starts from what both have"
        )
    own = network.state_dict()
    naming = dict(zip(own, to_published(own, network, aliases=False) if is_published(state) else own, strict=True))
    untrained: set[str] = set()
    for head in network.heads.values():
        for layer in head.prediction_layers:  # type: ignore[union-attr]
            names = _names(network, [layer])
            shapes = [(own[name].shape, state[naming[name]].shape) for name in names if naming[name] in state]
            if any(ours != given and ours[1:] == given[1:] for ours, given in shapes):  # the output channels alone
                untrained |= names
    if new or gone:
        untrained |= {name for name in own if concerns(name, new)}
        untrained |= _names(network, [part.fuse for part in network.modules() if isinstance(part, TaskExchange)])
    kept = {name: value for name, value in state.items() if not concerns(name, gone)}
    load_network_weights(network, kept | {naming[name]: own[name] for name in untrained}, setup)
    return _whole_modules(network, untrained)


def _names(network: nn.Module, parts: Iterable[nn.Module]) -> set[str]:
    """The names of the weights of some modules within the network."""
    tensors = {id(tensor) for part in parts for tensor in part.state_dict(keep_vars=True).values()}
    return {name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in tensors}


def _whole_modules(module: nn.Module, names: set[str], prefix: str = "") -> list[str]:
    """The outermost modules whose weights are all among `names`."""
    own = {prefix + name for name in module.state_dict()}
    if own and own <= names:
        return [prefix.removesuffix(".")]
    children = module.named_children()
    return [found for name, child in children for found in _whole_modules(child, names, f"{prefix}{name}.")]
