"""Tables compared value by value."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.tables import read_parquet


@dataclass(frozen=True)
class Difference:
    """where: the first place, in words. found, expected: there. rows: how many rows differ, of how many."""

    where: str
    found: str
    expected: str
    rows: int
    total: int


def read_table(path: Path) -> pd.DataFrame:
    """A parquet table.

    Raises:
        InputError: if the file is none.
    """
    try:
        return read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table ({error}).") from None


def as_stored(table: pd.DataFrame) -> pd.DataFrame:
    """A table as it comes back from a file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return pd.read_parquet(stream)


def difference(found: pd.DataFrame, expected: pd.DataFrame, keys: Sequence[str]) -> Difference | None:
    """The first difference of two tables as stored, None where they are equal: columns, types, rows in their order, and every value,
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
    unequal = pd.DataFrame(
        {
            name: ~((found[name] == expected[name]) | (found[name].isna() & expected[name].isna())).to_numpy(bool)
            for name in found
        }
    )
    differs = unequal.any(axis=1)
    if not differs.any():
        return None
    row = int(differs.argmax())
    name = next(column for column in found if unequal[column].iloc[row])
    about = {key: str(expected[key].iloc[row]) for key in keys if key in expected and key != name}
    where = ", ".join(f"{key} {value}" for key, value in about.items() if value)
    there, wanted = (str(table[name].iloc[row]) for table in (found, expected))
    return Difference(f"{name} of {where}", there, wanted, int(differs.sum()), total)
