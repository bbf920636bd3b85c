"""Solve small optimisation problems over the tasks' weights by trying every set of tasks whose weights may be above 0.

If it is known which weights are 0, such a problem is a linear system. T tasks have 2^T sets. This search is exact, simple, and fast for the
few tasks of a model. The search waits for the device; for two tasks the weightings use closed forms instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations

import torch
from torch import Tensor


def subsets(tasks: Iterable[int]) -> Iterator[list[int]]:
    """Yield all subsets, beginning with the empty one.

    Args:
        tasks: the numbers of the tasks.
    """
    numbers = list(tasks)
    yield from map(list, chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1)))


def best_of(candidates: Iterable[Tensor], value: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the best candidate among those without negative entries.

    Args:
        candidates: weights (T,); at least one candidate must have no negative entry.
        value: a function that returns the values to minimise (N,) for candidates (N, T).

    Returns:
        The weights (T,) with the lowest value.
    """
    stacked = torch.stack(list(candidates))
    allowed = (stacked >= -1e-12 * stacked.abs().amax(dim=1, keepdim=True)).all(dim=1) & stacked.isfinite().all(dim=1)
    values = torch.where(allowed, value(stacked), torch.inf)
    return stacked[values.argmin()].clamp_min(0)


def inverse(matrix: Tensor) -> Tensor:
    """Return the pseudo-inverse of a symmetric matrix.

    Args:
        matrix: (N, N).
    """
    return torch.linalg.pinv(matrix, hermitian=True)


def spread(values: Tensor, tasks: list[int], count: int) -> Tensor:
    """Return weights of all tasks, with given values for some tasks and 0 for the others.

    Args:
        values: the weights of `tasks`.
        tasks: the numbers of these tasks.
        count: the number of all tasks.

    Returns:
        (count,).
    """
    return values.new_zeros(count).index_put((torch.tensor(tasks, device=values.device),), values)
