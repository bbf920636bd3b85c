"""Tell Snakemake which results are current, whatever the times of files.

Snakemake compares times. So each result has one more input below .decides, which is older than done.json if the result is current, and
newer if it is stale. done.json of current results get times in the order of the steps, because copying and DVC change times.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.files import read_json, write_json
from pipeline.io.known_digests import KnownDigests
from pipeline.workflow.result import OTHERWISE, Result
from pipeline.workflow.results_of_study import ResultsOfStudy

DECIDES = Path(".decides")
"""The folder of these inputs in the working directory. It can be deleted without loss."""

# A time before any result was made. Current results have this time plus one second per level.
_LONG_AGO = 1_000_000_000
_SHOWN = 8


def decides_file(result: Result) -> Path:
    """Return the input file that represents all that decides a result."""
    return DECIDES / result.done


def stale_results(results: ResultsOfStudy) -> dict[Path, str]:
    """Return why each result of a study is not current, by its done.json. Results that are stale only because of an input are left out."""
    made: dict[Path, str] = {}
    found = {}
    for result in results.all:
        record = result.record()
        if record is not None:
            made[result.done] = record["made"]
        why = _why_stale(result, record, made, results.digests)
        if why:
            found[result.done] = why
    results.digests.save()
    return found


def set_plan_times(results: ResultsOfStudy) -> list[str]:
    """Set the times of done.json and of the inputs below .decides for all results of a study.

    Returns:
        Lines that say which changes make results again.
    """
    stale = stale_results(results)
    for result in results.all:
        _set_times(result, stale.get(result.done, ""))
    return _changes(result for result in results.all if stale.get(result.done) == OTHERWISE)


def _why_stale(
    result: Result, record: Mapping[str, Any] | None, made: Mapping[Path, str], digests: KnownDigests
) -> str:
    why = result.why_stale(record, made)
    if why or record is None:
        return why
    changed = result.changed_files(record, digests, read=False)
    return f"{changed[0].name} was changed" if changed else ""


def _set_times(result: Result, why: str) -> None:
    path = decides_file(result)
    if why:
        # Snakemake records the bytes of a job's inputs some time after the job has written done.json, and later treats equal bytes as
        # unchanged. A plan may be made in between, so every plan writes new bytes for the input of a stale result.
        write_json(path, {"decided_by": result.decided_by, "why": why, "since": time.time_ns()})
        made = result.done.stat().st_mtime if result.done.exists() else _LONG_AGO
        if path.stat().st_mtime <= max(made, _LONG_AGO):
            _set_time(path, max(made + 1, time.time()))
        return
    current = {"decided_by": result.decided_by, "why": "", "since": 0}
    if _content(path) != current:
        write_json(path, current)
    _set_time(path, _LONG_AGO)
    _set_time(result.done, _LONG_AGO + result.level)


def _content(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (InputError, OSError, RecursionError):  # the file is written again
        return None


def _set_time(path: Path, seconds: float) -> None:
    if path.stat().st_mtime != seconds:
        with suppress(PermissionError):  # results of another user, which cannot be made again here anyway
            os.utime(path, (seconds, seconds))


def _changes(results: Iterable[Result]) -> list[str]:
    """Return lines that say which settings, code and packages changed since results were made."""
    count: Counter[str] = Counter()
    for result in results:
        count.update(result.differences(result.earlier_record() or {}))
    lines = [f"  {what}: {number} result{'s' * (number > 1)}" for what, number in count.most_common(_SHOWN)]
    more = [f"  and {len(count) - _SHOWN} more"] if len(count) > _SHOWN else []
    return ["Results that are made again, because these changed:", *lines, *more] if lines else []
