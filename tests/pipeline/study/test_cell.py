"""A cell's id and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.study.cell import MERGED, Cell, is_variant

NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
NUMBERS = st.integers(0, 10**6)
TRAINED = st.builds(
    Cell,
    NAMES,
    NAMES,
    NAMES.filter(lambda name: name != MERGED),
    NAMES,
    NUMBERS,
    NUMBERS,
    st.sampled_from(["last", "val", "test"]),
)
MERGED_CELLS = st.builds(
    Cell,
    NAMES,
    NAMES,
    st.just(MERGED),
    NAMES,
    NUMBERS,
    NUMBERS,
    st.sampled_from(["last", "val"]),
    NUMBERS,
    st.booleans(),
)


@given(st.one_of(TRAINED, MERGED_CELLS))
def test_parse_is_the_inverse_of_id(cell: Cell) -> None:
    assert Cell.parse(cell.id) == cell
    assert is_variant(cell.variant)


@given(st.text("abr-s0123/_velt", max_size=60))
def test_what_parses_is_an_id(text: str) -> None:
    cell = Cell.parse(text)
    assert cell is None or cell.id == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mtlesd/dinov2/tesla/db_mtl",
        "mtlesd/dinov2/tesla/db_mtl/r04-s0",
        "mtlesd/dinov2/tesla/db_mtl/r4-s0-last",
        "mtlesd/dinov2/tesla/db_mtl/r4-s0-surgery16",
        "mtlesd/dinov2/tesla/db_mtl/r4-s0-on_test",
        "mtlesd/dinov2/merged/ties/r4-s0-surgery0",
        "mtlesd/dinov2/tesla/db_mtl/r4-s0/",
        "../mtlesd/dinov2/tesla/db_mtl/r4-s0\n",
    ],
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert Cell.parse(text) is None
