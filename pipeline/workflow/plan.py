"""Tell Snakemake by file times which results are current. The decision itself compares contents.

Snakemake compares times, so each result has an extra input in .decides. It is older than done.json if the result is current, and newer if
the result is stale. Copying and DVC change times, so each current done.json gets a time again, in the order of the steps.
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
from pipeline.io.hashing import sha256_of
from pipeline.io.known_digests import KnownDigests
from pipeline.workflow.result import OTHERWISE, Result
from pipeline.workflow.results_of_study import ResultsOfStudy

DECIDES = Path(".decides")
"""The folder of the extra inputs, in the working directory. It can be deleted; the next plan writes it again."""

# A time in seconds before any result was made. Current results have this time, plus one second per step before them, plus some
# microseconds that differ with the content: DVC takes a file of the same time, size and inode for the file that it recorded.
_LONG_AGO = 1_000_000_000
_SHOWN = 8


def decides_file(result: Result) -> Path:
    """Return the extra input of a result in .decides."""
    return DECIDES / result.done


def stale_results(results: ResultsOfStudy) -> dict[Path, str]:
    """Return the reasons why results are stale, by done.json. A result is left out if only an upstream result is stale."""
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
    """Set the times of done.json and of the inputs in .decides for all results of a study.

    Returns:
        Lines that say because of which changes results are made again.
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
        # Snakemake treats an input with the bytes that it recorded as unchanged, and records them only after the job wrote done.json.
        # A plan in between could hide a stale result, so every plan writes new bytes.
        write_json(path, {"decided_by": result.decided_by, "why": why, "since": time.time_ns()})
        made = result.done.stat().st_mtime if result.done.exists() else _LONG_AGO
        if path.stat().st_mtime <= max(made, _LONG_AGO):
            _set_time(path, _nanoseconds(max(made + 1, time.time())))
        return
    current = {"decided_by": result.decided_by, "why": "", "since": 0}
    if _content(path) != current:
        write_json(path, current)
    _set_time(path, _nanoseconds(_LONG_AGO))
    microseconds = int(sha256_of(result.done), 16) % 1_000_000
    _set_time(result.done, _nanoseconds(_LONG_AGO + result.level) + microseconds * 1000)


def _content(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (InputError, OSError, RecursionError):  # missing or damaged: the caller writes it again
        return None


def _set_time(path: Path, nanoseconds: int) -> None:
    if path.stat().st_mtime_ns != nanoseconds:
        with suppress(PermissionError):  # another user's results, which this user cannot replace
            os.utime(path, ns=(nanoseconds, nanoseconds))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _changes(results: Iterable[Result]) -> list[str]:
    """Return lines that say which settings, code and packages changed since results were made."""
    count: Counter[str] = Counter()
    for result in results:
        count.update(result.differences(result.earlier_record() or {}))
    lines = [f"  {what}: {number} result{'s' * (number > 1)}" for what, number in count.most_common(_SHOWN)]
    more = [f"  and {len(count) - _SHOWN} more"] if len(count) > _SHOWN else []
    return ["Results that are made again, because these changed:", *lines, *more] if lines else []
