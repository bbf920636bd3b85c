"""Read saved results, which may come from strangers. A file that would expand to too many bytes is refused before it is expanded."""

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

MAX_BYTES = 2 << 30  # largest size of an expanded file; in a study like the paper's, files expand to at most 50 MB
MAX_VALUES = (
    100_000_000  # largest number of values in a table; in a study like the paper's, tables have at most 26 million
)
_MAX_CSV_BYTES, _MAX_COLUMNS = 16 << 20, 500  # bounds of history.csv, which has fewer than 50 columns
Array = NDArray[Any]


def read_arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of an .npz file.

    Before memory is allocated, the size in the header of each array is compared with the size of its entry in the archive.

    Raises:
        InputError: if the file is missing or damaged, holds pickled objects, or expands to more than `MAX_BYTES`.
    """
    try:
        with open_regular(path) as file, ZipFile(file) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > MAX_BYTES:
                raise InputError(f"{path}: expands to {total:,} bytes; expected at most {MAX_BYTES:,}.")
            for member in archive.infolist():
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ValueError("packed by an unusual method")
                with archive.open(member) as stream:
                    _check_header(stream, member.file_size)
        with open_regular(path) as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except InputError:
        raise
    except Exception as error:  # any error of a decoder means that the file is wrong
        raise InputError(f"{path}: not a complete .npz file ({_first_line(error)}).") from None


def _check_header(stream: Any, size: int) -> None:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("an array of objects, or of a negative size")
    count = 1
    for side in shape:  # Python integers do not overflow
        count *= side
    # An array of elements with 0 bytes, such as empty texts, may need memory without any bytes in the file.
    if not dtype.itemsize or count * dtype.itemsize > size:
        raise ValueError("an array that claims more than the file holds")


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table of numbers and texts.

    Before the table is expanded, its size is computed, because a few bytes can encode very many or very long values.

    Raises:
        InputError: if the file is missing or no table, has columns of other types, or expands to more than `MAX_BYTES` or `MAX_VALUES`.
    """
    try:
        with open_regular(path) as stream:
            metadata = pq.read_metadata(stream)
            count = metadata.num_rows * max(1, metadata.num_columns)
            if count > MAX_VALUES:
                raise InputError(
                    f"{path}: claims {metadata.num_rows:,} rows of {metadata.num_columns:,} columns; expected at most "
                    f"{MAX_VALUES:,} values."
                )
            schema = metadata.schema.to_arrow_schema()
            allowed = (pa.types.is_primitive, pa.types.is_null, _is_text)
            refused = [field.name for field in schema if not any(is_kind(field.type) for is_kind in allowed)]
            groups = range(metadata.num_row_groups)
            stored = sum(metadata.row_group(group).total_byte_size for group in groups)
            if refused or stored > MAX_BYTES:
                what = (
                    f"the column {refused[0]} holds neither numbers nor texts"
                    if refused
                    else f"it expands to {stored:,} bytes"
                )
                raise InputError(f"{path}: {what}; expected numbers and texts of at most {MAX_BYTES:,} bytes.")
            texts = [field.name for field in schema if _is_text(field.type)]
            stream.seek(0)
            for name, length in _longest_texts(stream, texts).items():
                if length * metadata.num_rows > MAX_BYTES:
                    raise InputError(
                        f"{path}: the column {name} holds a text of {length:,} bytes; expected short names, because {metadata.num_rows:,} "
                        f"such texts may need more than {MAX_BYTES:,} bytes."
                    )
            stream.seek(0)
            return pd.read_parquet(stream)
    except InputError:
        raise
    except Exception as error:  # any error of a decoder means that the file is wrong
        raise InputError(f"{path}: not a table ({_first_line(error)}).") from None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _longest_texts(stream: Any, names: list[str]) -> dict[str, int]:
    """Return the length in bytes of the longest text in each column. Columns are read as dictionaries: a repeated text is read once."""
    if not names:
        return {}
    table = pq.ParquetFile(stream, read_dictionary=names).read(columns=names)
    table.validate(full=True)  # also checks that texts are UTF-8
    longest = {}
    for name in names:
        parts = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in table[name].chunks]
        lengths = [pc.max(pc.binary_length(part)).as_py() or 0 for part in parts]
        longest[name] = max(lengths, default=0)
    return longest


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv of a training, which has one row of numbers per epoch. A value may be empty, except in the column epoch.

    Raises:
        InputError: if the file is missing or damaged, has no rows or no column epoch, or holds a value that is not a number or an epoch
            below 1.
    """
    try:
        with open_regular(path) as stream:
            text = stream.read(_MAX_CSV_BYTES + 1)
        columns = text.partition(b"\n")[0].count(b",") + 1
        if len(text) > _MAX_CSV_BYTES or columns > _MAX_COLUMNS:
            raise ValueError(f"it has more than {_MAX_CSV_BYTES:,} bytes or more than {_MAX_COLUMNS} columns")
        table = pd.read_csv(BytesIO(text))
        are_numbers = {name: pd.to_numeric(table[name], errors="coerce").astype(np.float64) for name in table}
    except Exception as error:  # any error of a decoder means that the file is wrong
        raise InputError(f"{path}: not a table of numbers ({_first_line(error)}). Train the cell again.") from None
    if "epoch" not in table or not len(table):
        raise InputError(f"{path}: has no {'rows' if 'epoch' in table else 'column epoch'}. Train the cell again.")
    for name, values in are_numbers.items():
        refused = ~(values >= 1) if name == "epoch" else values.isna() & table[name].notna()
        if refused.any():
            row = int(refused.to_numpy().argmax())
            expected = "a number from 1" if name == "epoch" else "a number"
            raise InputError(
                f"{path}: {name} in line {row + 2} is {str(table[name].iloc[row])!r}; expected {expected}. Train the cell again."
            )
        table[name] = values
    return table


def read_representations(path: Path) -> dict[str, Any]:
    """Read representations.npz of a merging group: float arrays (N, C) and single values, such as texts, by name.

    Raises:
        InputError: as `read_arrays`, or if an array with axes does not hold rows of finite floats.
    """
    content: dict[str, Any] = {}
    for name, values in read_arrays(path).items():
        if values.ndim and not (values.ndim == 2 and values.dtype.kind == "f" and np.isfinite(values).all()):
            raise InputError(
                f"{path}: {name} is {values.dtype} of shape {values.shape}; expected a 2D array of finite floats."
            )
        content[name] = values.item() if values.ndim == 0 else values
    return content


def read_similarities(path: Path) -> dict[str, dict[str, list[float]]]:
    """Read similarity.json: the correlation of each test frame with the most similar training frame, by dataset and split rule.

    Raises:
        FileNotFoundError: if the file is missing.
        InputError: if the file is damaged, a list is empty, or a value is not a correlation.
    """
    content = read_json(path)
    for dataset, splits in content.items():
        for split, values in splits.items() if isinstance(splits, dict) else [("", None)]:
            are_numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
            if not are_numbers or not values or not all(-1.01 <= value <= 1.01 for value in values):
                raise InputError(
                    f"{path}: {f'{dataset} {split}'.strip()}: expected a list of correlations from -1 to 1, which is not empty. "
                    "Run snakemake, or: endoarss step draw_leakage."
                )
    return content


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
