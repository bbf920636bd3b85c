"""Numbers with their intervals, as readers see them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def with_brackets(value: float, low: float, high: float, sign: str = "", digits: int = 1) -> str:
    """Return a number with its interval, "88.3 [85.7, 90.7]"; "-" for none."""
    if np.isnan(value):
        return "-"
    shown = f"{value:{sign}.{digits}f}"
    return shown if np.isnan(low) else f"{shown} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def with_units(dataset: str, over: Mapping[str, str]) -> str:
    """Return a dataset with what its intervals are over, "MTLEndovis, 14 sequences"."""
    return f"{dataset}, {over[dataset]}" if over.get(dataset) else dataset
