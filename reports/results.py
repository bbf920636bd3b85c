"""The long result table: one row per measurement."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from reports.errors import ResultsError
from reports.names import REFERENCE_BACKBONE

COLUMNS = (
    "study",
    "dataset",
    "split",
    "backbone",
    "backbone_label",
    "architecture",
    "weighting",
    "weights_source",
    "weights_sha256",
    "variant",
    "merger",
    "surgery",
    "seed",
    "select_on",
    "synthetic",
    "eval_dataset",
    "eval_split",
    "corruption",
    "severity",
    "mask_warped",
    "resolution",
    "protocol",
    "metric",
    "class",
    "value",
    "n",
)
CELL = ["backbone_label", "architecture", "weighting"]
CLEAN = ""


def read_results(path: Path, study: str = "", protocol: str = "", clean: bool = False) -> pd.DataFrame:
    """Return the rows of results.parquet.

    Args:
        path: The file.
        study: The study that every row must belong to; "" accepts any.
        protocol: The protocol that every row must belong to; "" accepts any.
        clean: If true, read only the rows of clean images, which are far fewer than those of corrupted images.

    Raises:
        ResultsError: If the file is missing, is no table, lacks a column, mixes protocols, or belongs to another study or protocol.
    """
    if not path.is_file():
        raise ResultsError(f"{path}: missing. Run the steps before this one, or snakemake.")
    try:
        missing = [column for column in COLUMNS if column not in pq.read_schema(path).names]
        results = pd.read_parquet(path, filters=[("corruption", "==", CLEAN)] if clean and not missing else None)
    except (OSError, ValueError) as error:
        raise ResultsError(
            f"{path}: not a table of results ({error}). Collect them again: endoarss step collect_results."
        ) from None
    if missing:
        raise ResultsError(f"{path}: lacks the column(s) {', '.join(missing)}.")
    if results["protocol"].nunique() > 1:
        raise ResultsError(
            f"{path}: mixes the protocols {', '.join(sorted(results['protocol'].unique()))}; expected one."
        )
    for column, wanted in (("study", study), ("protocol", protocol)):
        odd = set(results[column]) - {wanted}
        if wanted and odd:
            raise ResultsError(
                f"{path}: of the {column} {min(odd)!r}; expected {wanted!r}. Collect the results again: endoarss step collect_results."
            )
    return results


WEIGHTS = {"none": "random", "hub": "timm hub", "file": "a file", "generated": "generated scenes"}


def weights_note(results: pd.DataFrame) -> str:
    """Return a sentence that says which initial weights each backbone had, because readers must know if they were random."""
    cells = results[results["backbone"] != REFERENCE_BACKBONE]
    pairs = cells[["backbone_label", "weights_source"]].drop_duplicates()
    notes = [f"{label} {WEIGHTS.get(source, source)}" for label, source in pairs.itertuples(index=False)]
    return f"Initial weights: {', '.join(notes)}"


def of_rank(results: pd.DataFrame, rank: int) -> pd.DataFrame:
    """Return the rows of cells with adapters of one rank, which their variant names, and of references, which have no adapters."""
    variants = results["variant"]
    return results[(variants == "") | variants.str.startswith(f"r{rank}-")]


def comparable_rows(results: pd.DataFrame, select_on: str) -> pd.DataFrame:
    """Return the rows that tables may compare: trainings whose checkpoint was selected in the same way, and references, without
    merged models."""
    return results[(results["merger"] == "") & results["select_on"].isin(["", select_on])]


def clean_scores(results: pd.DataFrame, eval_dataset: str) -> pd.DataFrame:
    """Return the rows of one evaluated dataset on clean images that are no scores of a single class."""
    selected = (results["eval_dataset"] == eval_dataset) & (results["corruption"] == CLEAN) & (results["class"] == "")
    return results[selected]
