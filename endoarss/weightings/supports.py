"""Solves small problems over the tasks' weights by trying each set of tasks with a weight above 0.

Such a problem is a linear system once it is known which weights are 0. With T tasks there are 2^T sets: exact, short, and quick for the few
tasks that a model has. It waits for the device; with two tasks the weightings have closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations

import torch
from torch import Tensor


def subsets(tasks: Iterable[int]) -> Iterator[list[int]]:
    """Yield each set of tasks, the empty one first."""
    given = list(tasks)
    yield from map(list, chain.from_iterable(combinations(given, size) for size in range(len(given) + 1)))


def best_of(candidates: Iterable[Tensor], value: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the candidate weights (T,) without an entry below 0 whose value is lowest.

    Args:
        candidates: (T,) each, at least one of them without an entry below 0.
        value: from candidates (N, T) to what is minimised (N,).
    """
    stacked = torch.stack(list(candidates))
    allowed = (stacked >= -1e-12 * stacked.abs().amax(dim=1, keepdim=True)).all(dim=1) & stacked.isfinite().all(dim=1)
    values = torch.where(allowed, value(stacked), torch.inf)
    return stacked[values.argmin()].clamp_min(0)


def inverse(matrix: Tensor) -> Tensor:
    """Return the pseudo-inverse of a symmetric matrix (N, N)."""
    return torch.linalg.pinv(matrix, hermitian=True)


def spread(values: Tensor, tasks: list[int], count: int) -> Tensor:
    """Return weights (count,) that are `values` at `tasks` and 0 elsewhere."""
    return values.new_zeros(count).index_put((torch.tensor(tasks, device=values.device),), values)
