"""Compare tables value by value."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Difference:
    """The first difference of two tables: where it is, the found and the expected value, and how many of all rows differ."""

    where: str
    found: str
    expected: str
    rows: int
    total: int


def as_stored(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the types that it has after it was written to a file and read."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return pd.read_parquet(stream)


def difference(found: pd.DataFrame, expected: pd.DataFrame, keys: Sequence[str]) -> Difference | None:
    """Return the first difference of two tables, or None if columns, types, order of rows and all values are equal. NaN equals NaN.

    Args:
        found: a stored table.
        expected: the table that it should equal, after `as_stored`.
        keys: columns whose values name a row in messages.
    """
    total = len(expected)
    if list(found.columns) != list(expected.columns):
        in_one = [str(name) for name in [*found.columns, *expected.columns] if (name in found) != (name in expected)]
        return Difference("columns", ", ".join(in_one[:5]) or "another order", "the same columns", total, total)
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
    row_keys = {key: str(expected[key].iloc[row]) for key in keys if key in expected and key != name}
    where = ", ".join(f"{key} {value}" for key, value in row_keys.items() if value)
    found_value, expected_value = (str(table[name].iloc[row]) for table in (found, expected))
    return Difference(f"{name} of {where}", found_value, expected_value, len(unequal), total)
