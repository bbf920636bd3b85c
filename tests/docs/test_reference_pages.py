"""The examples on the pages of the Python interface run as they stand, and name what is public."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import corruptions
from pipeline.results.paths import figure_files, table_files
from pipeline.study.loading import load_study
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


def test_every_table_and_figure_of_the_demo_is_on_the_page_of_tables() -> None:
    study = load_study(ROOT / "studies/demo.yaml")
    page = (REFERENCE / "tables.md").read_text(encoding="utf-8")
    for path in [*table_files(study), *figure_files(study)]:
        name = re.sub(r".*(_against_paper)$", r"...\1", path.stem)
        name = re.sub(r"^(contact|history|fig_classes|fig_confusion)_.*", r"\1_<dataset>", name)
        name = "table_<name>" if name.removeprefix("table_") in study.datasets else name
        assert f"`{name}`" in page, f"{path.name} is not in docs/reference/tables.md"


def test_the_numbers_on_the_page_of_tables_are_those_of_the_example() -> None:
    page = (ROOT / "docs/example/report.html").read_text(encoding="utf-8")
    numbers = dict(re.findall(r'href="#(\w+)"[^>]*>((?:S?\d+))\. ', page))
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (REFERENCE / "tables.md").read_text(encoding="utf-8"), re.MULTILINE)
    said = {
        name: number
        for left, files in rows
        for number, name in zip(left.split(", "), re.findall(r"`(\w+)`", files), strict=False)
    }
    shared = said.keys() & numbers.keys()
    assert len(shared) >= 15 and {name: said[name] for name in shared} == {name: numbers[name] for name in shared}
