"""The building blocks of the sections: number types with their bounds, names, the base class."""

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _no_flag(value: Any) -> Any:
    """Python takes True for 1; in an experiment file `train_bs: true` is a mistake."""
    if isinstance(value, bool):
        raise PydanticCustomError("flag_for_number", "must be a number, not true or false")
    return value


def _once_each(values: list[int]) -> list[int]:
    if len(set(values)) != len(values):
        raise ValueError(f"lists a value twice: {values}")
    return values


def _projects_or_not(channels: int) -> int:
    if channels != -1 and channels < 1:
        raise ValueError("must be positive, or -1 for no projection")
    return channels


NUMBER = BeforeValidator(_no_flag)
Integer = Annotated[int, NUMBER]
PositiveInt = Annotated[int, NUMBER, Field(gt=0)]
NonNegativeInt = Annotated[int, NUMBER, Field(ge=0)]
PositiveFloat = Annotated[float, NUMBER, Field(gt=0)]
NonNegativeFloat = Annotated[float, NUMBER, Field(ge=0)]
Probability = Annotated[float, NUMBER, Field(ge=0, le=1)]
BelowOne = Annotated[float, NUMBER, Field(ge=0, lt=1)]
Scale = Annotated[int, NUMBER, Field(ge=0, le=4)]
UpsamplingCount = Annotated[int, NUMBER, Field(ge=1, le=4)]
Scales = Annotated[list[Scale], Field(min_length=1), AfterValidator(_once_each)]
FivePositive = Annotated[list[PositiveInt], Field(min_length=5, max_length=5)]
Frames = Annotated[list[Integer], AfterValidator(_once_each)]
SkipChannels = Annotated[int, NUMBER, AfterValidator(_projects_or_not)]
FolderName = Annotated[str, Field(min_length=1)]
TaskName = Literal["semseg", "depth", "disp", "normals", "edges"]


class Section(BaseModel):
    """A config section: unknown keys are errors, an empty subsection is its default, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, data: Any) -> Any:
        """`kwargs:` with nothing below it is null in YAML."""
        if not isinstance(data, dict):
            return data
        subsections = [name for name, field in cls.model_fields.items() if isinstance(field.default, Section)]
        return {key: value for key, value in data.items() if value is not None or key not in subsections}


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def members(kind: Any) -> list[Any]:
    """The members of a union, or the type alone."""
    if get_origin(kind) is Annotated:
        return members(get_args(kind)[0])
    if get_origin(kind) in (dict, list, tuple, Literal) or not get_args(kind):
        return [kind]
    return [member for inner in get_args(kind) for member in members(inner)]
