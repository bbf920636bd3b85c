"""Reads kept tables, from regular files alone: pandas would wait for ever for a pipe that has the name of one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from corruptions.regular import open_regular


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV.

    Raises:
        OSError: as `open_regular`. ValueError: if it is no table.
    """
    with open_regular(path) as stream:
        return pd.read_csv(stream)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet table.

    Raises:
        OSError: as `open_regular`, or if the file is damaged. ValueError: if it is no table.
    """
    with open_regular(path) as stream:
        return pd.read_parquet(stream)
