"""Find the current results of a study by their contents, and mark them for Snakemake by file times.

Each result has an extra input in the folder .decides. Snakemake compares times, so this input is made older than done.json if the result
is current, and newer if it is stale. Copying and DVC change times, so each current done.json gets its time again, in the order of steps.
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
from pipeline.workflow.result import OTHER_DECISIONS, Result
from pipeline.workflow.results_of_study import ResultsOfStudy

DECIDES_FOLDER = Path(".decides")
"""The folder of the extra inputs, in the working directory. It can be deleted; the next plan writes it again."""

# A Unix time in seconds (the year 2001) before any result was made. The done.json of a current result has this time, plus one second per
# step of its longest chain of inputs, plus microseconds from its content: DVC takes a file of the same time, size and inode as unchanged.
_LONG_AGO = 1_000_000_000
_SHOWN_AT_MOST = 8


def decides_file(result: Result) -> Path:
    """Return the extra input of a result in .decides, whose time tells Snakemake whether the result is current."""
    return DECIDES_FOLDER / result.done


def stale_results(results: ResultsOfStudy) -> dict[Path, str]:
    """Return why results are stale, by done.json. Results that are stale only because an upstream result is stale are left out."""
    digest_of: dict[Path, str] = {}
    reasons = {}
    for result in results.all:
        record = result.record()
        if record is not None:
            digest_of[result.done] = record["made"]
        why = _why_stale(result, record, digest_of, results.digests)
        if why:
            reasons[result.done] = why
    results.digests.save()
    return reasons


def set_plan_times(results: ResultsOfStudy) -> list[str]:
    """Set the times of done.json and of the inputs in .decides for all results of a study.

    Returns:
        Lines that say which changes of settings, code and packages make results stale.
    """
    stale = stale_results(results)
    for result in results.all:
        _set_times(result, stale.get(result.done, ""))
    return _changes(result for result in results.all if stale.get(result.done) == OTHER_DECISIONS)


def _why_stale(
    result: Result, record: Mapping[str, Any] | None, digest_of: Mapping[Path, str], digests: KnownDigests
) -> str:
    why = result.why_stale(record, digest_of)
    if why or record is None:
        return why
    changed = result.changed_files(record, digests, read=False)
    return f"{changed[0].name} was changed" if changed else ""


def _set_times(result: Result, why: str) -> None:
    path = decides_file(result)
    if why:
        # Snakemake takes an input as unchanged if it has the bytes that Snakemake recorded, whatever its time. So every plan writes new
        # bytes (`since`) for a stale result.
        write_json(path, {"decided_by": result.decided_by, "why": why, "since": time.time_ns()})
        done_time = result.done.stat().st_mtime if result.done.exists() else _LONG_AGO
        if path.stat().st_mtime <= max(done_time, _LONG_AGO):
            _set_time(path, _nanoseconds(max(done_time + 1, time.time())))
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
        with suppress(PermissionError):  # the result belongs to another user
            os.utime(path, ns=(nanoseconds, nanoseconds))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _changes(results: Iterable[Result]) -> list[str]:
    """Return lines that say which settings, code and packages changed since results were made."""
    count: Counter[str] = Counter()
    for result in results:
        count.update(result.differences(result.earlier_record() or {}))
    lines = [f"  {what}: {number} result{'s' * (number > 1)}" for what, number in count.most_common(_SHOWN_AT_MOST)]
    more = [f"  and {len(count) - _SHOWN_AT_MOST} more"] if len(count) > _SHOWN_AT_MOST else []
    return ["Results that are made again, because these changed:", *lines, *more] if lines else []
