"""The typed sections of an experiment file: names, types, defaults and the checks that need one section only.

They are the vocabulary of an experiment: every word, class count and option that a file may hold, with its default.
Builders trust a checked config. Every key of a published DenseMTL experiment file is known; one that has no effect says
so. Checks across sections are in `utils/config/checks.py`, reading and merging in `load.py`.
"""

from pydantic import Field

from utils.config.schema.data import DataConfig
from utils.config.schema.optim import ConstantScheduler, OptimConfig, SchedulerConfig
from utils.config.schema.setup import SetupConfig
from utils.config.schema.training import TrainingConfig
from utils.config.schema.types import Section


class Config(Section):
    """A whole experiment."""

    data: DataConfig = Field(description="What the network learns from and is measured on.")
    training: TrainingConfig = Field(description="How long, how often, with what precision.")
    setup: SetupConfig = Field(description="The network, its losses and learning rates.")
    optim: OptimConfig = Field(description="The optimizer.")
    scheduler: SchedulerConfig = Field(ConstantScheduler(), description="The learning rate over the steps.")
