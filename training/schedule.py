"""When to validate. A schedule `{from_step: every}` may grow sparser or denser as training goes on."""

from collections.abc import Mapping


def interval_in_force(step: int, schedule: Mapping[int, int]) -> int:
    """The interval of the entry with the largest key below `step` (steps count from 1).

    Raises:
        ValueError: No entry is in force, because the schedule does not start at 0.
    """
    begun = [start for start in schedule if start < step]
    if not begun:
        raise ValueError(f"no interval for step {step} in {dict(schedule)}")
    return schedule[max(begun)]


def validation_due(step: int, schedule: Mapping[int, int], iterations: int) -> bool:
    """Whether to validate after `step`: at a multiple of the interval in force, and at the end."""
    return step == iterations or step % interval_in_force(step, schedule) == 0
