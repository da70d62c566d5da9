"""The tasks, each with everything people see of it; every task of the schema has its line here."""

from collections.abc import Mapping

from torch import Tensor

from dataset.labels import LabelSet
from training.tasks.base import Task
from training.tasks.depth import Depth
from training.tasks.disp import Disp
from training.tasks.edges import Edges
from training.tasks.normals import Normals
from training.tasks.semseg import Semseg
from utils.config.schema.loss import LossConfig
from utils.config.schema.types import TaskName
from utils.geometry import resize

TASKS: Mapping[TaskName, type[Task]] = {
    "semseg": Semseg,
    "depth": Depth,
    "disp": Disp,
    "normals": Normals,
    "edges": Edges,
}


def build_tasks(loss: LossConfig, labels: LabelSet) -> dict[str, Task]:
    """The tasks of an experiment, in the order of its losses; `labels` are the classes of its dataset."""
    return {task: TASKS[task].build(section, labels) for task, section in loss.tasks.items()}


def decode_final(
    tasks: Mapping[str, Task], predictions: Mapping[str, Mapping[int, Tensor]], size: tuple[int, int]
) -> dict[str, Tensor]:
    """Every task's finest prediction, decoded: float32 [B, C, *size]."""
    return {task: tasks[task].decode(resize(scales[min(scales)].float(), size)) for task, scales in predictions.items()}
