"""The polynomial learning-rate decay of ADVENT's discriminators (Vu et al., CVPR 2019, implementation details)."""


def poly_factor(step: int, max_steps: int, power: float = 0.9) -> float:
    """(1 - step / max_steps) ** power: 1 before the first step, 0 from `max_steps` on.

    Raises:
        ValueError: for a negative step or a horizon that is not positive.
    """
    if max_steps <= 0:
        raise ValueError(f"max_steps must be positive, got {max_steps}")
    if step < 0:
        raise ValueError(f"step must not be negative, got {step}")
    return max(0.0, 1 - step / max_steps) ** power
