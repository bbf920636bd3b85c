"""Verify a study: compute digests and scores again, and predict again with a sample of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.io.files import write_json
from pipeline.redaction import masked, masked_content
from pipeline.results.cell_state import check_made
from pipeline.study.cells import find_cell
from pipeline.study.fingerprints import study_digest
from pipeline.study.models import Study
from pipeline.verify.checkpoints import check_checkpoints
from pipeline.verify.datasets import check_datasets
from pipeline.verify.findings import Check, Report
from pipeline.verify.rows import check_results, check_rows
from pipeline.verify.settings import check_settings
from pipeline.verify.side_files import check_side_files
from pipeline.verify.unchecked import unchecked


def print_verification(
    study: Study, count: int, cell_ids: Sequence[str], seed: int, workers: int, json_file: Path | None
) -> None:
    """Verify a study as `verify` does, print the report without secrets, and write all of it to a JSON file if one is named.

    Raises:
        InputError: if the report has failures; and as for `verify`.
    """
    report = verify(study, count, cell_ids, seed, workers)
    print(masked(report.show()))
    if json_file is not None:
        write_json(json_file, masked_content(report.as_dict()))
    if report.failures:
        raise InputError(f"study {study.name!r}: {report.failures} failures are listed above.")


def verify(study: Study, count: int = 3, cell_ids: Sequence[str] = (), seed: int = 0, workers: int = 1) -> Report:
    """Run all checks of a study, from the quickest to the slowest. No file of the study is changed.

    Args:
        study: the study.
        count: number of cells, drawn at random, that predict again; with 0 torch is not imported.
        cell_ids: ids of cells that predict again, instead of a sample.
        seed: draws the sample, and the corruptions and the severity that are evaluated again.
        workers: number of processes that measure.

    Raises:
        InputError: if the study has no such cell, or a named merged model is missing.
    """
    cells = [find_cell(study, cell) for cell in cell_ids]
    for cell in cells:
        check_made(study, cell)
    checks = [
        _guarded("study", lambda: check_settings(study)),
        _guarded("datasets", lambda: check_datasets(study)),
        _guarded("checkpoints", lambda: check_checkpoints(study)),
        _guarded("side files", lambda: check_side_files(study)),
        _guarded("rows", lambda: check_rows(study, workers)),
        _guarded("results", lambda: check_results(study)),
    ]
    if cells or count:
        from pipeline.verify.predictions import check_predictions, sample

        cells = cells or sample(study, count, seed)
        checks.append(_guarded("predictions", lambda: check_predictions(study, cells, seed)))
    gaps = sum(len(check.gaps) for check in checks)
    return Report(study.name, study_digest(study), checks, unchecked(study, cells, gaps))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Return a check, or the error that stopped it, so that the other checks still run."""
    stopped = Check(name, "files")
    with stopped.collects_errors(f"the check of {name}"):
        return check()
    return stopped
