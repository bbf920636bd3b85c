"""Verify a study: compute digests again, score saved predictions again, and predict again with a sample of models."""

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


def print_verification(
    study: Study, count: int, chosen: Sequence[str], seed: int, workers: int, json_file: Path | None
) -> None:
    """Verify a study and print what was found, without secrets.

    Args:
        study, count, chosen, seed, workers: as `verify` takes them.
        json_file: where everything that was found goes as JSON.

    Raises:
        InputError: if something is not what it should be; and as `verify`.
    """
    report = verify(study, count, chosen, seed, workers)
    print(masked(report.show()))
    if json_file is not None:
        write_json(json_file, masked_content(report.as_dict()))
    if report.failures:
        raise InputError(f"study {study.name!r}: {report.failures} failures, see above.")


def verify(study: Study, count: int = 3, chosen: Sequence[str] = (), seed: int = 0, workers: int = 1) -> Report:
    """Run all checks of a study, from the quickest to the slowest. Nothing of the study is changed.

    Args:
        count: cells whose checkpoints are loaded; with 0 torch is not imported. chosen: ids of these cells instead of a sample.
        seed: draws the sample. workers: processes that measure.

    Raises:
        InputError: if the study has no such cell, or a merged model that is named is not there.
    """
    cells = [find_cell(study, cell) for cell in chosen]
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

        checks.append(_guarded("answers", lambda: check_predictions(study, cells or sample(study, count, seed), seed)))
    return Report(study.name, study_digest(study), checks)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Return a check, or the error that stopped it, so that the other checks still run."""
    stopped = Check(name, "things")
    with stopped.survives(f"the check of {name}"):
        return check()
    return stopped
