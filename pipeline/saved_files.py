"""Read saved results as data that anybody may have written or damaged: bounded before it is expanded, typed after."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corruptions.regular import open_regular
from pipeline.errors import InputError
from pipeline.files import read_json

MAX_BYTES = 2 << 30  # of one file's arrays when they are expanded; the largest of a paper-sized study have 50 MB
MAX_VALUES = 100_000_000  # of one table; that of a paper-sized study has 26 million
Array = NDArray[Any]


def read_arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of an .npz file.

    Each header is compared with what its member holds before memory is claimed; pickled objects are refused.

    Raises:
        InputError: if the file is missing, damaged, or expands to more than `MAX_BYTES`.
    """
    try:
        with open_regular(path) as whole, ZipFile(whole) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > MAX_BYTES:
                raise InputError(f"{path}: expands to {total:,} bytes; expected at most {MAX_BYTES:,}.")
            for member in archive.infolist():
                with archive.open(member) as stream:
                    _check_header(stream, member.file_size)
        with open_regular(path) as whole, np.load(whole, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except InputError:
        raise
    except (
        *(OSError, EOFError, KeyError, TypeError, ValueError, SyntaxError, MemoryError, NotImplementedError),
        *(RuntimeError, RecursionError, BadZipFile, zlib.error, struct.error),
    ) as error:
        raise InputError(f"{path}: no whole .npz file ({error or type(error).__name__}).") from None


def _check_header(stream: Any, size: int) -> None:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = read[version](stream)
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("an array of objects, or of a negative size")
    count = 1
    for side in shape:  # whole numbers of Python, which do not overflow
        count *= side
    if count * dtype.itemsize > size:
        raise ValueError("an array that claims more than the file holds")


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table.

    Raises:
        InputError: if the file is missing, no table, or claims more than `MAX_VALUES` values.
    """
    try:
        with open_regular(path) as stream:
            about = pq.read_metadata(stream)
            if about.num_rows * max(1, about.num_columns) > MAX_VALUES:
                raise InputError(
                    f"{path}: claims {about.num_rows:,} rows of {about.num_columns:,} columns; expected at most "
                    f"{MAX_VALUES:,} values."
                )
            stream.seek(0)
            return pd.read_parquet(stream)
    except InputError:
        raise
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        MemoryError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise InputError(f"{path}: not a table ({_first_line(error)}).") from None


def read_numbers(path: Path, required: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Read a CSV file of numbers with a header line, such as history.csv.

    Args:
        path: the file. required: the columns that must be there, each with its lowest and highest value.

    Raises:
        InputError: naming the file, the row and the value, if it is missing, damaged, or a value is out of its range.
    """
    try:
        with open_regular(path) as stream:
            table = pd.read_csv(stream)
    except (OSError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: not a table of numbers ({_first_line(error)}). Train the cell again.") from None
    lacking = sorted(set(required) - set(table))
    if lacking or not len(table):
        raise InputError(f"{path}: lacks {', '.join(lacking) or 'rows'}. Train the cell again.")
    for name in table:
        values = pd.to_numeric(table[name], errors="coerce")
        low, high = required.get(str(name), (-np.inf, np.inf))
        odd = (values.isna() & (table[name].notna() | (name in required))) | (values < low) | (values > high)
        if odd.any():
            row = int(odd.to_numpy().argmax())
            raise InputError(f"{path}: {name} in line {row + 2} is {table[name].iloc[row]!r}. Train the cell again.")
        table[name] = values
    return table


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv of a training: one row per epoch.

    Raises:
        InputError: as `read_numbers`.
    """
    return read_numbers(path, {"epoch": (1, np.inf)})


def read_representations(path: Path) -> dict[str, Any]:
    """Read representations.npz of a merging group: float arrays (N, C) by name, and texts.

    Raises:
        InputError: naming the file and the array, if it is damaged or holds values that are no finite numbers.
    """
    found: dict[str, Any] = {}
    for name, values in read_arrays(path).items():
        if values.ndim and not (values.ndim == 2 and values.dtype.kind == "f" and np.isfinite(values).all()):
            raise InputError(
                f"{path}: {name} is {values.dtype} of shape {values.shape}; expected rows of finite numbers."
            )
        found[name] = values.item() if values.ndim == 0 else values
    return found


def read_similarities(path: Path) -> dict[str, dict[str, list[float]]]:
    """Read similarity.json: how alike each test frame and its nearest training frame are, by dataset and split.

    Raises:
        FileNotFoundError: if it is missing. InputError: if it is damaged or holds what no correlation is.
    """
    content = read_json(path)
    for dataset, splits in content.items():
        for split, values in splits.items() if isinstance(splits, dict) else [("", None)]:
            numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
            if not numbers or not values or not all(-1.01 <= value <= 1.01 for value in values):
                raise InputError(
                    f"{path}: {dataset} {split}: expected a list of correlations from -1 to 1. Run snakemake, or: endoarss draw-leakage."
                )
    return content


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
