"""Each file of a study's results is read once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pipeline.results import study_results
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import titles_of
from pipeline.study.loading import make_study


def count(results: StudyResults, cell: Cell, rows: pd.DataFrame) -> int:
    return len(rows)


def first(results: StudyResults, cell: Cell, rows: pd.DataFrame) -> str:
    return str(rows["corruption"].iloc[0])


def test_rows_under_corruption_are_read_once_for_all_declared_reductions(
    minimal: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Cell] = []

    def rows(study: object, cell: Cell, frames: object) -> pd.DataFrame:
        read.append(cell)
        return pd.DataFrame({"corruption": ["smoke", "smoke"]})

    monkeypatch.setattr(study_results, "robust_rows", rows)
    monkeypatch.setattr(study_results, "frames_tested", lambda study, dataset: {})
    study = make_study(minimal(seeds=[0, 1]))
    one, other = cells_of(study)
    results = StudyResults(study, {count: [one, other], first: [one]})
    assert [results.reduced(cell, count) for cell in (one, other)] == [2, 2]
    assert results.reduced(one, first) == "smoke" and read == [one, other]
    assert results.reduced(other, first) == "smoke" and read == [one, other, other], "not named, so read again"
    assert results.reduced(other, count) == 2 and len(read) == 3
    results.release(first)
    assert results.reduced(one, count) == 2 and len(read) == 3, "what other reductions made stays"
    assert results.reduced(one, first) == "smoke" and len(read) == 4


def test_a_value_is_computed_once_for_the_same_arguments(minimal: Callable[..., dict[str, Any]]) -> None:
    calls: list[str] = []

    def title(results: StudyResults, dataset: str) -> str:
        calls.append(dataset)
        return titles_of(results.study)[dataset]

    results = StudyResults(make_study(minimal()))
    assert results.once(title, "mtlesd") == results.once(title, "mtlesd") == "MTLESD"
    assert calls == ["mtlesd"]
    assert StudyResults(results.study).once(title, "mtlesd") == "MTLESD" and len(calls) == 2
