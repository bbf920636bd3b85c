"""Saved results are bounded before they are expanded: a few bytes can stand for very much."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from endoarss.devices import peak_memory_mib, reset_peak_memory
from pipeline.errors import InputError
from pipeline.io.saved_files import read_arrays, read_history, read_table

CPU = torch.device("cpu")


def npz(path: Path, header: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frame_id.npy", header)


def head(descr: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        head("<U0", (10**8,)),
        head("|u1", (10**12,)),
        head("|u1", (10**20,)),
        head("|O", (1,)),
        b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 3000,
        b"",
    ],
)
def test_arrays_that_claim_more_than_they_hold(tmp_path: Path, header: bytes) -> None:
    npz(tmp_path / "x.npz", header)
    with pytest.raises(InputError, match=r"x\.npz: not a complete \.npz file"):
        read_arrays(tmp_path / "x.npz")


def test_an_archive_packed_by_another_method(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", head("|u1", (0,)))
    with pytest.raises(InputError, match="packed by an unusual method"):
        read_arrays(tmp_path / "x.npz")


TABLES: dict[str, Callable[[], pa.Table]] = {
    "one long text, many times": lambda: pa.table(
        {"a": pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 100_000])}
    ),
    "a list in one row": lambda: pa.table({"a": [[0] * 1_000_000]}),
    "a structure": lambda: pa.table({"a": [{"b": 1}]}),
    "bytes": lambda: pa.table({"a": [b"x"]}),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_expand_or_are_of_other_kinds(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(TABLES[name](), path, store_schema=False)
    reset_peak_memory(CPU)
    before = peak_memory_mib(CPU)
    with pytest.raises(InputError, match=r"x\.parquet: the column a "):
        read_table(path)
    assert peak_memory_mib(CPU) - before < 500  # it would expand to 10 GB


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"name": ["a", "b", None], "value": [1.5, np.nan, -2], "n": [1, 2, 3], "yes": [True, False, True]}
    )
    table.to_parquet(tmp_path / "x.parquet", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "x.parquet"), pd.read_parquet(tmp_path / "x.parquet"))


@pytest.mark.parametrize(
    "text",
    ["epoch," + ",".join(f"c{i}" for i in range(20_000)) + "\n1\n", "epoch\n" + "9" * 400, "epoch\nthree", "", "\x00"],
)
def test_histories_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(InputError, match=r"history\.csv"):
        read_history(tmp_path / "history.csv")


def test_texts_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": ["frame"] * 3}), path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"frame", b"fra\xffe"))
    with pytest.raises(InputError, match=r"x\.parquet: not a table"):
        read_table(path)
