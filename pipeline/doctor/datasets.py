"""Examines what a dataset would hold: its frames, activities and split, and with `deep` every picture and mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from pipeline.datasets.kinds import Kind
from pipeline.datasets.sample import BAD, UNUSED, Collected, Sample
from pipeline.doctor.findings import ERROR, NOTE, WARNING, DatasetReport, Finding
from pipeline.errors import InputError
from pipeline.parallel import ordered_map

_LISTED = 20  # unreadable frames that are named one by one


def examine_dataset(
    report: DatasetReport, kind: Kind, collected: Collected, split: Mapping[str, str], skip_bad: bool
) -> None:
    """Fill in the report from the collected frames, without reading a picture.

    Args:
        report: to fill. kind: what it is. collected: its frames. split: the part of each.
        skip_bad: whether faulty frames are left out, so that they are no errors.
    """
    report.frames = len(collected.samples)
    report.by_split = dict(sorted(Counter(split.values()).items()))
    counts = Counter(sample.activity for sample in collected.samples)
    expected = (kind.activities or {}) if report.expected is not None else {}
    report.activities = {
        name: {"found": counts[name], "expected": expected.get(name)} for name in kind.labels.activities
    }
    report.never_seen = [f"activity {name}" for name in kind.labels.activities if not counts[name]]
    for group in collected.left_out:
        report.left_out[group.reason] = len(group.frames)
        if group.what != UNUSED:
            level = ERROR if group.what == BAD and not skip_bad else WARNING
            report.findings.append(Finding(level, f"{len(group.frames)} left out: {group.reason}", group.frames))


def examine_pictures(report: DatasetReport, kind: Kind, samples: list[Sample], workers: int, skip_bad: bool) -> None:
    """Decode every picture and mask: which classes occur, and what cannot be read."""
    seen: Counter[str] = Counter()
    bad = []
    for sample, result in zip(
        samples, ordered_map(_classes_in, samples, workers, f"read {report.dataset}"), strict=True
    ):
        if isinstance(result, str):
            bad.append((sample.frame_id, result))
        else:
            seen.update(kind.labels.classes[index] for index in result)
    level = WARNING if skip_bad else ERROR
    report.findings += [Finding(level, error, (frame_id,)) for frame_id, error in bad[:_LISTED]]
    if len(bad) > _LISTED:
        rest = tuple(frame_id for frame_id, _ in bad[_LISTED:])
        report.findings.append(Finding(level, f"{len(rest)} more frames cannot be used.", rest))
    report.classes = {name: seen[name] for name in kind.labels.classes[1:]}
    report.never_seen += [f"class {name}" for name, count in report.classes.items() if not count]
    if report.never_seen:
        report.findings.append(Finding(NOTE, f"never seen: {', '.join(report.never_seen)}."))


def _classes_in(sample: Sample) -> list[int] | str:
    try:
        _, mask = sample.read()
    except InputError as error:
        return str(error)
    return [int(index) for index in np.flatnonzero(np.bincount(mask.ravel())) if index]
