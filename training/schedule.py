"""When to validate. A schedule `{from_step: every}` may grow sparser or denser as training goes on."""

from collections.abc import Mapping


def validation_due(step: int, schedule: Mapping[int, int], iterations: int) -> bool:
    """Whether to validate after `step` (counted from 1): at a multiple of the interval in force, and at the end.

    In force is the entry with the largest key below `step`; there must be one for 0.
    """
    return step == iterations or step % schedule[max(start for start in schedule if start < step)] == 0
