"""The `training` section."""

from typing import Literal

from pydantic import Field, model_validator

from utils.config.schema.types import (
    Integer,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Scales,
    Section,
)

Intervals = dict[NonNegativeInt, PositiveInt]


class AdaptationConfig(Section):
    doda: bool | NonNegativeInt = Field(True, description="Adapt: true, false, or the first step that does.")
    lr_D: PositiveFloat = Field(1e-4, description="Learning rate of the discriminators.")
    ent_align: Scales = Field([0], description="Scales of the predictions that are aligned.")
    lambda_adv_ent: NonNegativeFloat = Field(0.005, description="Weight of the adversarial loss of the network.")
    lambda_disc_ent: NonNegativeFloat = Field(1.0, description="Weight of the discriminators' losses.")

    @property
    def start(self) -> int | None:
        """First step (counted from 1) that adapts; None for never."""
        return None if self.doda is False else max(1, int(self.doda))


class TrainingConfig(Section):
    """How long, how often, with what precision."""

    logdir: str = Field(description="Folder of all runs.")
    n_workers: NonNegativeInt = Field(4, description="Processes that load images.")
    seed: Integer = Field(42, description="Seed of weights, dropout and the order of images.")
    shuffle_trainset: bool = Field(True, description="Shuffle the images every epoch.")
    iterations: PositiveInt = Field(description="Optimizer steps.")
    max_iterations: PositiveInt | None = Field(None, description="Discriminators: step of rate 0; default: iterations.")
    accumulate: PositiveInt = Field(1, description="Batches per optimizer step.")
    use_amp: bool = Field(False, description="Mixed precision.")
    amp_dtype: Literal["bfloat16", "float16"] = Field("bfloat16", description="Number format of mixed precision.")
    channels_last: bool | None = Field(None, description="Memory format of convolutions; default: what is faster.")
    compile: bool = Field(False, description="torch.compile the network.")
    sync_bn: bool = Field(False, description="Batch norm over all processes; GPUs only.")
    activation_checkpointing: bool = Field(False, description="Compute activations twice: less memory, more time.")
    allow_world_size_change: bool = Field(False, description="Resume with another number of processes.")
    benchmark: bool = Field(True, description="Let cuDNN try which convolution is fastest.")
    detect_anomaly: bool = Field(False, description="Name the operation that made a gradient NaN; slow.")
    print_interval: PositiveInt = Field(100, description="Steps between two log lines.")
    val_interval: Intervals = Field({0: 1000}, description="{from step: steps between two validations}.")
    checkpoint_interval: PositiveInt = Field(1000, description="Steps between two saved states.")
    save_model: bool = Field(True, description="Write best_model.pkl.")
    save_finished_model: bool = Field(True, description="Write model_<step>.pkl at the end.")
    resume: str | bool | None = Field(None, description="No effect: --resume.")
    da: AdaptationConfig | None = Field(None, description="Domain adaptation to data.target.")

    @model_validator(mode="after")
    def _is_consistent(self):
        if 0 not in self.val_interval:
            raise ValueError(f"val_interval needs the interval from step 0, got the steps {sorted(self.val_interval)}")
        if self.compile and self.activation_checkpointing:
            raise ValueError("torch.compile decides itself what to compute again: compile or activation_checkpointing")
        return self
