"""`endoarss report`: each step runs after those whose files it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.reporting import make_report


def test_tables_wait_for_the_figures_of_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process may be slow: here it works only when somebody waits for it."""
    ran: list[str] = []

    def step(name: str) -> Callable[..., Any]:
        return lambda *_, **__: ran.append(name) or SimpleNamespace(missing_robust_models={}, missing_models={})

    @contextmanager
    def processes(count: int) -> Iterator[Any]:
        yield SimpleNamespace(submit=lambda run, *arguments: SimpleNamespace(result=lambda: run(*arguments)))

    monkeypatch.setattr(make_report, "processes", processes)
    monkeypatch.setattr(make_report, "StudyResults", lambda study: SimpleNamespace(present_models=()))
    monkeypatch.setattr(make_report, "_without_rows", lambda study: [])
    for name in ("collect_results", "make_tables", "draw_figures", "make_page", "write_paper", "reductions_of_page"):
        monkeypatch.setattr(make_report, name, step(name))
    monkeypatch.setattr(make_report, "draw_figures_of_datasets", step("draw_figures_of_datasets"))
    make_report.make_report(SimpleNamespace())  # type: ignore[arg-type]
    assert ran.index("draw_figures_of_datasets") < ran.index("make_tables")
