"""The examples on the pages of the Python interface run as they stand, and name what is public."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import corruptions
from tests.docs.blocks import ROOT, blocks_of, run_page

REFERENCE = ROOT / "docs/reference"
PAGES = sorted(path for path in REFERENCE.glob("*.md") if ":::" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    assert any("assert " in block.text for block in blocks_of(page))
    run_page(page, tmp_path)


def test_every_function_of_the_corruptions_stands_there() -> None:
    named = set(re.findall(r"^::: corruptions\.(\w+)$", (REFERENCE / "corruptions.md").read_text(), re.MULTILINE))
    assert named >= {name for name in corruptions.__all__ if name.islower()}
