"""How much better than single-task networks: delta_m (Maninis et al., CVPR 2019), by which the best model is chosen."""

from collections.abc import Mapping


def delta_m(
    scores: Mapping[str, float | None], baselines: Mapping[str, float], lower_is_better: Mapping[str, bool]
) -> float | None:
    """Mean over tasks of the relative gain on the single-task baseline, in percent; higher is better.

    100 / T * sum of (-1)^gamma * (score - baseline) / baseline, gamma 1 where lower is better.

    Args:
        scores: The score that stands for each task, at least one.
        baselines: Those of the single-task networks, positive and in the same units; further ones are ignored.
        lower_is_better: Of each score.

    Returns:
        None where a score is None, as an unmeasured task can be neither gain nor loss.
    """
    gains = []
    for task, score in scores.items():
        if score is None:
            return None
        gain = (score - baselines[task]) / baselines[task]
        gains.append(-gain if lower_is_better[task] else gain)
    return 100 * sum(gains) / len(gains)
