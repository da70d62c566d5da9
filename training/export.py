"""`--export-weights`: a file that the code published with the paper loads."""

from pathlib import Path

from models.build import build_model
from models.published import to_published
from models.weights import read_weights
from training.weights import load_network_weights
from utils.config.load import Experiment
from utils.console import LOGGER
from utils.errors import UserError
from utils.files import save_tensors


def export_weights(experiment: Experiment, weights: Path, output: Path) -> None:
    """Load weights into the network, then write them under all their published names, aliases included.

    Raises:
        UserError: Weights that are damaged or do not fit, a network without published names, a file that is there
            already or cannot be written.
    """
    if output.exists():
        raise UserError(f"--export-weights {output}: already exists; remove it, or choose another name")
    config = experiment.config
    network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids)
    load_network_weights(network, read_weights(weights), config.setup)
    if config.setup.method == "ours-cxatt" and len(config.setup.tasks) > 2:
        LOGGER.warning(
            "the published code concatenates the features of three tasks and more in an order that changes with "
            "Python's hash seed; these weights need that of the config (setup.kwargs.source_order)"
        )
    published = to_published(network.state_dict(), network)
    save_tensors(output, published)
    LOGGER.info("exported %s: %d published names in %s", weights, len(published), output)
