"""Read saved results without trusting them: sizes are checked before expanding, and types after."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corruptions.regular import open_regular
from pipeline.errors import InputError
from pipeline.io.files import read_json

MAX_BYTES = 2 << 30  # bytes of one file's arrays when expanded; the largest of a paper-sized study have 50 MB
MAX_VALUES = 100_000_000  # values of one table; a paper-sized study has 26 million
_MAX_TEXT, _MAX_COLUMNS = 16 << 20, 500  # bytes and columns of a CSV; history.csv has 30 columns
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
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ValueError("packed by an unusual method")
                with archive.open(member) as stream:
                    _check_header(stream, member.file_size)
        with open_regular(path) as whole, np.load(whole, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except InputError:
        raise
    except Exception as error:  # any error of a decoder means that the file is wrong
        raise InputError(f"{path}: no whole .npz file ({_first_line(error)}).") from None


def _check_header(stream: Any, size: int) -> None:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = read[version](stream)
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("an array of objects, or of a negative size")
    count = 1
    for side in shape:  # Python integers do not overflow
        count *= side
    # Elements of size 0, such as empty texts, would need memory without any bytes in the file.
    if not dtype.itemsize or count * dtype.itemsize > size:
        raise ValueError("an array that claims more than the file holds")


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table of numbers and texts.

    What it expands to is counted before it is: a few bytes can stand for very many equal values, or for very long ones.

    Raises:
        InputError: if the file is missing, no table, has columns of other kinds, or expands to more than the bounds above.
    """
    try:
        with open_regular(path) as stream:
            about = pq.read_metadata(stream)
            count = about.num_rows * max(1, about.num_columns)
            if count > MAX_VALUES:
                raise InputError(
                    f"{path}: claims {about.num_rows:,} rows of {about.num_columns:,} columns; expected at most "
                    f"{MAX_VALUES:,} values."
                )
            schema = about.schema.to_arrow_schema()
            plain = (pa.types.is_primitive, pa.types.is_null, _is_text)
            odd = [field.name for field in schema if not any(is_kind(field.type) for is_kind in plain)]
            groups = range(about.num_row_groups)
            stored = sum(about.row_group(group).total_byte_size for group in groups)
            if odd or stored > MAX_BYTES:
                what = f"the column {odd[0]} is of another kind than numbers and texts" if odd else f"{stored:,} bytes"
                raise InputError(f"{path}: {what}; expected a table of at most {MAX_BYTES:,} bytes.")
            texts = [field.name for field in schema if _is_text(field.type)]
            stream.seek(0)
            for name, length in _longest_texts(stream, texts).items():
                if length * about.num_rows > MAX_BYTES:
                    raise InputError(f"{path}: the column {name} holds a text of {length:,} bytes; expected names.")
            stream.seek(0)
            return pd.read_parquet(stream)
    except InputError:
        raise
    except Exception as error:  # as above
        raise InputError(f"{path}: not a table ({_first_line(error)}).") from None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _longest_texts(stream: Any, names: list[str]) -> dict[str, int]:
    """Return the bytes of the longest text of each column. Columns are read as dictionaries, so each text is read once."""
    if not names:
        return {}
    table = pq.ParquetFile(stream, read_dictionary=names).read(columns=names)
    table.validate(full=True)  # texts are UTF-8
    found = {}
    for name in names:
        parts = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in table[name].chunks]
        lengths = [pc.max(pc.binary_length(part)).as_py() or 0 for part in parts]
        found[name] = max(lengths, default=0)
    return found


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv of a training: numbers, one row per epoch.

    Raises:
        InputError: naming the file, the row and the value, if it is missing, damaged, or a value is out of its range.
    """
    try:
        with open_regular(path) as stream:
            text = stream.read(_MAX_TEXT + 1)
        columns = text.partition(b"\n")[0].count(b",") + 1
        if len(text) > _MAX_TEXT or columns > _MAX_COLUMNS:
            raise ValueError(f"{len(text):,} bytes, {columns:,} columns")
        table = pd.read_csv(BytesIO(text))
        numbers = {name: pd.to_numeric(table[name], errors="coerce").astype(np.float64) for name in table}
    except Exception as error:  # as above
        raise InputError(f"{path}: not a table of numbers ({_first_line(error)}). Train the cell again.") from None
    if "epoch" not in table or not len(table):
        raise InputError(f"{path}: lacks {'rows' if 'epoch' in table else 'epoch'}. Train the cell again.")
    for name, values in numbers.items():
        odd = ~(values >= 1) if name == "epoch" else values.isna() & table[name].notna()
        if odd.any():
            row = int(odd.to_numpy().argmax())
            raise InputError(f"{path}: {name} in line {row + 2} is {table[name].iloc[row]!r}. Train the cell again.")
        table[name] = values
    return table


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
                    f"{path}: {dataset} {split}: expected a list of correlations from -1 to 1. "
                    "Run snakemake, or: endoarss step draw_leakage."
                )
    return content


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
