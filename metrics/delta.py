"""How much better than single-task networks: delta_m (Maninis et al., CVPR 2019), by which the best model is chosen."""

from collections.abc import Mapping

from utils.console import LOGGER

# The score of each task that stands for it, and whether lower is better.
MAIN_SCORES = {
    "semseg": ("mIoU", False),
    "depth": ("rmse", True),
    "disp": ("rmse", True),
    "normals": ("mean", True),
    "edges": ("F1", False),
}
# Tasks whose score is a fraction here and whose baselines are given in percent.
IN_PERCENT = ("semseg", "edges")


def main_score(task: str, scores: Mapping[str, float | None]) -> tuple[str, float | None, bool]:
    """Name and value of the score that stands for a task, and whether higher is better.

    Args:
        task: Name of the task.
        scores: What the task's metric computed.
    """
    name, lower_is_better = MAIN_SCORES[task]
    return name, scores[name], not lower_is_better


def baselines_in_percent(baselines: Mapping[str, float]) -> dict[str, float]:
    """Baselines with semseg and edges in percent; a value of theirs up to 1 is read as a fraction, with a warning.

    Reading what this returned again changes nothing and warns no more.

    Raises:
        ValueError: a baseline that is not positive.
    """
    read = {}
    for task, value in baselines.items():
        if value <= 0:
            raise ValueError(f"the baseline of {task} must be positive, got {value}")
        if task in IN_PERCENT and value <= 1:
            LOGGER.warning(
                "setup.loss.kwargs.baselines.%s: %g is read as a fraction, that is %g %%", task, value, 100 * value
            )
            value = 100 * value
        read[task] = value
    return read


def delta_m(scores: Mapping[str, float | None], baselines: Mapping[str, float]) -> float | None:
    """Mean over tasks of the relative gain on the single-task baseline, in percent; higher is better.

    100 / T * sum of (-1)^gamma * (score - baseline) / baseline, gamma 1 where lower is better.

    Args:
        scores: The main score of every task (`main_score`), fractions, metres or degrees.
        baselines: Those of the single-task networks, semseg and edges in percent; others than the scores' are ignored.

    Returns:
        None where a score is None, as an unmeasured task can be neither gain nor loss.

    Raises:
        ValueError: no score, one without a baseline, or a baseline that is not positive.
    """
    missing = [task for task in scores if task not in baselines]
    if missing or not scores:
        raise ValueError(
            f"delta_m needs scores and a baseline for each, got scores of {list(scores)} and no baseline for {missing}"
        )
    if None in scores.values():
        return None
    percent = baselines_in_percent({task: baselines[task] for task in scores})
    gains = []
    for task, score in scores.items():
        value = 100 * score if task in IN_PERCENT else score
        gain = (value - percent[task]) / percent[task]
        gains.append(-gain if MAIN_SCORES[task][1] else gain)
    return 100 * sum(gains) / len(gains)
