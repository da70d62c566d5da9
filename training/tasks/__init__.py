"""The tasks as their users see them; every task and every loss of the schema has its line here."""

from collections.abc import Mapping

from torch import Tensor

from dataset.labels import LabelSet
from loss.build import build_task_loss
from models.network import Predictions
from training.tasks.base import Task
from training.tasks.depth import Depth
from training.tasks.disp import Disp
from training.tasks.edges import Edges
from training.tasks.normals import Normals
from training.tasks.semseg import Semseg
from utils.config.schema import loss as sections
from utils.config.schema.types import TaskName
from utils.geometry import resize

TASKS: Mapping[TaskName, type[Task]] = {
    "semseg": Semseg,
    "depth": Depth,
    "disp": Disp,
    "normals": Normals,
    "edges": Edges,
}


def build_task(section: sections.TaskLossConfig, labels: LabelSet) -> Task:
    """The task that a loss of the config trains; `labels` are the classes of its dataset."""
    match section:
        case sections.CrossEntropy():
            return Semseg(names=labels.names, colors=labels.colors, subsets=labels.subsets)
        case sections.Berhu() | sections.L1Depth():
            return Depth(
                in_metres=isinstance(section, sections.L1Depth),
                median_scaling=section.kwargs.median_scaling,
                limits=section.kwargs.measured_range,
            )
        case sections.Photometric(kwargs=kwargs):
            return Disp(
                disparity_range=(kwargs.min_depth, kwargs.max_depth),
                median_scaling=kwargs.median_scaling,
                limits=kwargs.measured_range,
            )
        case sections.Normals() | sections.StoredNormals():
            return Normals(loss=build_task_loss(section))
        case sections.Edges():
            return Edges()


def build_tasks(loss: sections.LossConfig, labels: LabelSet) -> dict[str, Task]:
    """The tasks of an experiment, in the order of its losses."""
    return {task: build_task(section, labels) for task, section in loss.tasks.items()}


def decode_final(tasks: Mapping[str, Task], predictions: Predictions, size: tuple[int, int]) -> dict[str, Tensor]:
    """Every task's finest prediction, decoded: float32 [B, C, *size]."""
    return {task: tasks[task].decode(resize(scales[min(scales)].float(), size)) for task, scales in predictions.items()}
