"""The example runs, and shows what it is there to show."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from endoarss.registry import list_mergers

PATH = Path(__file__).parents[2] / "examples/merge_classifiers.py"


@pytest.fixture
def merge_three(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The example's function, which gives its rows by their names here."""
    spec = importlib.util.spec_from_file_location("merge_classifiers", PATH)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, example)  # where its dataclasses look themselves up
    spec.loader.exec_module(example)
    torch.set_num_threads(1)
    return lambda **sizes: {row.name: row for row in example.merge_three(**sizes)}


@pytest.mark.slow
def test_every_merger_gets_its_rows(merge_three: Callable[..., dict[str, Any]]) -> None:
    rows = merge_three(images=100, steps=10, iterations=3)
    individual = rows.pop("individual models")
    assert individual.bias == 0 and len(individual.accuracy) == 3
    assert set(rows) == {f"{merger}{end}" for merger in list_mergers() for end in ("", " + Surgery")}
    assert all(row.bias > 0 and 0 <= row.mean <= 100 for row in rows.values())


@pytest.mark.slow
def test_surgery_brings_merged_classifiers_back(merge_three: Callable[..., dict[str, Any]]) -> None:
    rows = merge_three(images=500, steps=100, iterations=120)
    assert rows["individual models"].mean > 60
    for merger in list_mergers():
        before, after = rows[merger], rows[f"{merger} + Surgery"]
        assert after.bias < 0.7 * before.bias and after.mean > before.mean, merger
