"""Which samples belong to a split and which of them keep their labels. Functions of names and seeds alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from utils.errors import UserError

SHUFFLED_SPLITS = ("train", "val", "all")


def seeded(seed: int) -> np.random.RandomState:
    """A generator whose numbers NumPy promises never to change, so that a split is the same with every version."""
    return np.random.RandomState(seed % 2**32)


def shuffled_split(
    names: Sequence[str], *, split: str, seed: int, group: Callable[[str], Any] = lambda name: name
) -> list[str]:
    """Train or val part of a dataset without an official split: 80 % and 20 % of one shuffle, so always disjoint.

    Args:
        names: all samples, in any order.
        split: "train", "val" or "all".
        seed: of the shuffle.
        group: what is shuffled; samples of one group stay on the same side. Groups must be sortable.

    Returns:
        The samples of the split, sorted.
    """
    if split == "all":
        return sorted(names)
    groups = sorted({group(name) for name in names})
    order = seeded(seed).permutation(len(groups))
    n_train = len(groups) * 8 // 10
    chosen = {groups[i] for i in (order[:n_train] if split == "train" else order[n_train:])}
    return sorted(name for name in names if group(name) in chosen)


def random_subset(annotated: np.ndarray, *, size: int, seed: int) -> np.ndarray:
    """`size` of the annotated samples, drawn with a seed: bool [N], true where a sample keeps its labels.

    Raises:
        UserError: There are fewer annotated samples.
    """
    candidates = np.flatnonzero(annotated)
    if size > len(candidates):
        raise UserError(f"asks for {size} labelled images, there are {len(candidates)}")
    return _mask(len(annotated), seeded(seed).permutation(candidates)[:size])


def fixed_subset(annotated: np.ndarray, *, indices: Sequence[int]) -> np.ndarray:
    """The annotated samples at `indices`, counted among the annotated ones: bool [N] as in `random_subset`.

    Raises:
        UserError: There are fewer annotated samples.
    """
    candidates = np.flatnonzero(annotated)
    beyond = [index for index in indices if not 0 <= index < len(candidates)]
    if beyond:
        raise UserError(f"lists index {beyond[0]}, there are {len(candidates)} labelled images, counted from 0")
    return _mask(len(annotated), candidates[list(indices)])


def _mask(size: int, indices: np.ndarray) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[indices] = True
    return mask


def evenly_spaced(total: int, count: int) -> list[int]:
    """`count` of `total` positions, evenly spread, the first one included; all where there are no more."""
    count = min(count, total)
    return [i * total // count for i in range(count)]
