"""Reads the long result table, which has one row per measurement, and selects rows from it."""

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
# The columns that identify a row of a table of scores.
CELL = ["backbone_label", "architecture", "weighting"]
# The entry of the column `corruption` for clean images.
CLEAN = ""


def read_results(path: Path, study: str = "", protocol: str = "", clean: bool = False) -> pd.DataFrame:
    """Return the rows of results.parquet.

    Args:
        path: The file.
        study: The study that every row must belong to; "" accepts any.
        protocol: The protocol that every row must belong to; "" accepts any.
        clean: If true, read only the rows of clean images, which are far fewer than those of corrupted images.

    Raises:
        ResultsError: If the file does not exist, is not a table, lacks a column, mixes protocols, or belongs to another study or protocol.
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
        raise ResultsError(
            f"{path}: lacks the column(s) {', '.join(missing)}. Collect the results again: endoarss step collect_results."
        )
    if results["protocol"].nunique() > 1:
        raise ResultsError(
            f"{path}: mixes the protocols {', '.join(sorted(results['protocol'].unique()))}; expected one. "
            "Collect the results again: endoarss step collect_results."
        )
    for column, expected in (("study", study), ("protocol", protocol)):
        others = set(results[column]) - {expected}
        if expected and others:
            raise ResultsError(
                f"{path}: holds results of the {column} {min(others)!r}; expected {expected!r}. "
                "Collect the results again: endoarss step collect_results."
            )
    return results


_WEIGHTS_IN_WORDS = {
    "none": "random",
    "hub": "from timm's hub",
    "file": "from a file",
    "generated": "pretrained on generated scenes",
}


def weights_note(results: pd.DataFrame) -> str:
    """Return a sentence that says which initial weights each backbone had: readers must know if the weights were random."""
    cells = results[results["backbone"] != REFERENCE_BACKBONE]
    pairs = cells[["backbone_label", "weights_source"]].drop_duplicates()
    notes = [f"{label} {_WEIGHTS_IN_WORDS.get(source, source)}" for label, source in pairs.itertuples(index=False)]
    return f"Initial weights: {', '.join(notes)}"


def of_rank(results: pd.DataFrame, rank: int) -> pd.DataFrame:
    """Return the rows of cells whose adapters have a rank, and of references, which have no adapters."""
    variants = results["variant"]  # such as "r4-s0" for rank 4 and seed 0
    return results[(variants == "") | variants.str.startswith(f"r{rank}-")]


def comparable_rows(results: pd.DataFrame, select_on: str) -> pd.DataFrame:
    """Return the rows of trainings whose checkpoint was selected in the given way, and of references, without those of merged models."""
    return results[(results["merger"] == "") & results["select_on"].isin(["", select_on])]


def clean_scores(results: pd.DataFrame, eval_dataset: str) -> pd.DataFrame:
    """Return the scores on the clean images of one evaluated dataset, without the scores of single classes."""
    selected = (results["eval_dataset"] == eval_dataset) & (results["corruption"] == CLEAN) & (results["class"] == "")
    return results[selected]
