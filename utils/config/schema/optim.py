"""The `optim` and `scheduler` sections; `name` says which one of each, and so which options `kwargs` takes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from utils.config.schema.types import BelowOne, NonNegativeFloat, PositiveFloat, PositiveInt, Section


class SGDKwargs(Section):
    momentum: NonNegativeFloat = Field(0.0, description="Share of the last update in the next.")
    dampening: NonNegativeFloat = Field(0.0, description="Share of the gradient kept out of the momentum.")
    nesterov: bool = Field(False, description="Look ahead along the momentum.")
    weight_decay: NonNegativeFloat = Field(0.0, description="L2 penalty.")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self):
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")
        return self


class AdamKwargs(Section):
    betas: tuple[BelowOne, BelowOne] = Field((0.9, 0.999), description="Decay of the two running means.")
    eps: PositiveFloat = Field(1e-8, description="Added to the denominator.")
    weight_decay: NonNegativeFloat = Field(0.0, description="L2 penalty.")
    amsgrad: bool = Field(False, description="Keep the largest second moment.")


class AdamWKwargs(AdamKwargs):
    weight_decay: NonNegativeFloat = Field(0.01, description="Decoupled weight decay.")


class _Optimizer(Section):
    clip_grad_norm: NonNegativeFloat | None = Field(None, description="Largest norm of the gradient; 0 or null: none.")


class SGDConfig(_Optimizer):
    name: Literal["SGD"] = Field(description="`torch.optim.SGD`.")
    kwargs: SGDKwargs = Field(SGDKwargs(), description="Its options.")


class AdamConfig(_Optimizer):
    name: Literal["Adam"] = Field(description="`torch.optim.Adam`.")
    kwargs: AdamKwargs = Field(AdamKwargs(), description="Its options.")


class AdamWConfig(_Optimizer):
    name: Literal["AdamW"] = Field(description="`torch.optim.AdamW`.")
    kwargs: AdamWKwargs = Field(AdamWKwargs(), description="Its options.")


OptimConfig = Annotated[SGDConfig | AdamConfig | AdamWConfig, Field(discriminator="name")]


class NoKwargs(Section):
    """No options."""


class StepKwargs(Section):
    step_size: PositiveInt = Field(description="Steps between two drops of the rate.")
    gamma: PositiveFloat = Field(0.1, description="Factor of a drop.")


class MultiStepKwargs(Section):
    milestones: list[PositiveInt] = Field(min_length=1, description="Steps at which the rate drops.")
    gamma: PositiveFloat = Field(0.1, description="Factor of a drop.")


class HorizonKwargs(Section):
    max_iterations: PositiveInt | None = Field(None, description="Step of rate 0; default: training.iterations.")


class PolyKwargs(HorizonKwargs):
    power: PositiveFloat = Field(0.9, description="Exponent of the fall.")


class ConstantScheduler(Section):
    name: Literal["constant"] = Field("constant", description="The rates do not change.")
    kwargs: NoKwargs = Field(NoKwargs(), description="None.")


class StepScheduler(Section):
    name: Literal["step"] = Field(description="A drop every `step_size` steps.")
    kwargs: StepKwargs = Field(description="Its options.")


class MultiStepScheduler(Section):
    name: Literal["multistep"] = Field(description="A drop at each of `milestones`.")
    kwargs: MultiStepKwargs = Field(description="Its options.")


class PolyScheduler(Section):
    name: Literal["poly"] = Field(description="(1 - step / max_iterations) ^ power.")
    kwargs: PolyKwargs = Field(PolyKwargs(), description="Its options.")


class CosineScheduler(Section):
    name: Literal["cosine"] = Field(description="Half a cosine, from the full rate to 0.")
    kwargs: HorizonKwargs = Field(HorizonKwargs(), description="Its options.")


_Scheduler = ConstantScheduler | StepScheduler | MultiStepScheduler | PolyScheduler | CosineScheduler
SchedulerConfig = Annotated[_Scheduler, Field(discriminator="name")]
