"""Samples of cases for the quick tests. The slow tests take the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def one_in(step: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a parametrised test; all are slow, except the first and each `step`-th after it.

    Args:
        step: The distance between two quick cases.
        cases: The cases. A tuple has one value per argument of the test.
    """
    return [_case(case, place % step == 0) for place, case in enumerate(cases)]


def quick_or_slow(quick: Collection[str], names: Iterable[str]) -> list[Any]:
    """Return the names of a parametrised test; all are slow, except those in `quick`."""
    return [_case(name, name in quick) for name in names]


def _case(case: Any, quick: bool) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=() if quick else pytest.mark.slow)
