"""A sample of cases for the quick tests. The slow tests take the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def one_in(step: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a parametrised test; all are slow, except the first and each `step`-th after it.

    Args:
        step: The distance of two quick cases.
        cases: The cases. A tuple has one value per argument of the test.
    """
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*value, marks=[pytest.mark.slow] * (place % step != 0)) for place, value in enumerate(values)]
