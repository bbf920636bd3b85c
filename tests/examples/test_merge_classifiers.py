"""The example runs, and shows what it is there to show."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from endoarss.registry import list_mergers

PATH = Path(__file__).parents[2] / "examples/merge_classifiers.py"


def test_surgery_brings_merged_classifiers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("merge_classifiers", PATH)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, example)  # where its dataclasses look themselves up
    spec.loader.exec_module(example)
    torch.set_num_threads(1)
    rows = {row.name: row for row in example.merge_three(images=500, steps=100, iterations=120)}
    individual = rows.pop("individual models")
    assert individual.bias == 0 and individual.mean > 60 and len(individual.accuracy) == 3
    assert set(rows) == {f"{merger}{end}" for merger in list_mergers() for end in ("", " + Surgery")}
    for merger in list_mergers():
        before, after = rows[merger], rows[f"{merger} + Surgery"]
        assert after.bias < 0.7 * before.bias and after.mean > before.mean, merger
