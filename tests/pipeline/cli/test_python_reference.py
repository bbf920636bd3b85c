"""The page of the Python interface lists what the pages about the packages describe, with signatures as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.python_reference import PAGE, python_page

ROOT = Path(__file__).parents[3]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(ROOT)
    return python_page()


def test_the_page_is_that_of_the_functions(page: str) -> None:
    advice = "run `python -m pipeline.cli.python_reference` and commit what it writes"
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page, advice


def test_signatures_are_plain(page: str) -> None:
    lines = [line for line in page.splitlines() if line.startswith("- `")]
    assert len(lines) > 30 and not any(" at 0x" in line or "<" in line for line in lines)
    assert "- `endoarss.metrics.evaluate_classification(truth, prediction, classes, protocol='standard')`: " in page
    assert "register_corruption(name, category, prepare=..., move=None)" in page
    assert all(line.endswith(".") for line in lines), "each has the whole first line of its docstring"
