"""Compare tables value by value."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Difference:
    """The first difference of two tables: where, found and expected value, and how many of how many rows differ."""

    where: str
    found: str
    expected: str
    rows: int
    total: int


def as_stored(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is after writing and reading a file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return pd.read_parquet(stream)


def difference(found: pd.DataFrame, expected: pd.DataFrame, keys: Sequence[str]) -> Difference | None:
    """Return the first difference of two stored tables, or None if they are equal: columns, types, order of rows, and every value,
    missing ones too.

    Args:
        keys: columns that tell readers which row it is.
    """
    total = len(expected)
    if list(found.columns) != list(expected.columns):
        odd = [str(name) for name in [*found.columns, *expected.columns] if (name in found) != (name in expected)]
        return Difference("columns", ", ".join(odd[:5]) or "another order", "the same columns", total, total)
    if len(found) != total:
        return Difference("length", f"{len(found):,} rows", f"{total:,} rows", abs(len(found) - total), total)
    types = [name for name in found if found[name].dtype != expected[name].dtype]
    if types:
        name = types[0]
        return Difference(f"column {name}", str(found[name].dtype), str(expected[name].dtype), total, total)
    unequal = found.set_axis(expected.index).compare(expected)
    if unequal.empty:
        return None
    row = expected.index.get_loc(unequal.index[0])
    name = next(column for column in unequal.columns.unique(0) if unequal[column].iloc[0].notna().any())
    about = {key: str(expected[key].iloc[row]) for key in keys if key in expected and key != name}
    where = ", ".join(f"{key} {value}" for key, value in about.items() if value)
    there, wanted = (str(table[name].iloc[row]) for table in (found, expected))
    return Difference(f"{name} of {where}", there, wanted, len(unequal), total)
