"""Examines what a dataset would hold: its frames, activities and split, and with `deep` every picture and mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from endoarss.settings import IGNORED
from pipeline.datasets.kinds import Kind
from pipeline.datasets.labels import class_of_instrument
from pipeline.datasets.sample import ABSENT, BAD, Collected, Sample
from pipeline.doctor.findings import ERROR, NOTE, WARNING, DatasetReport, Finding
from pipeline.errors import InputError
from pipeline.images import Header
from pipeline.parallel import ordered_map

_LISTED = 10  # faults that are told one by one


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
    faults = [group for group in collected.left_out if group.what == BAD]
    for group in collected.left_out:
        if group.what != BAD:
            report.left_out[group.reason] = len(group.frames)
        if group.what == ABSENT:
            report.findings.append(Finding(WARNING, f"{len(group.frames)} left out: {group.reason}", group.frames))
    level = WARNING if skip_bad else ERROR
    say_faults(report, level, [(frame, group.reason) for group in faults for frame in group.frames])
    untyped = tuple(s.frame_id for s in collected.samples if "no_type_mask" in s.flags and _names_raw_types(kind, s))
    if untyped:
        text = f"{len(untyped)} frames name instruments in their annotation, but have no type mask, e.g. {untyped[0]}"
        report.findings.append(Finding(WARNING, text, untyped))


def _names_raw_types(kind: Kind, sample: Sample) -> bool:
    """Whether an annotation names an instrument that raw types have masks of."""
    named = {class_of_instrument(kind.labels, instrument) for instrument in sample.instruments}
    return bool(named - {None, "Ultrasound Probe", "Suction Instrument"})


def examine_headers(
    report: DatasetReport,
    samples: Sequence[Sample],
    unreadable: Mapping[str, str],
    headers: Mapping[Path, Header],
    skip_bad: bool,
) -> None:
    """Say which frames have a picture or mask without readable header, or masks of another size than their picture."""
    faults = []
    for sample in samples:
        sizes = {path: (headers[path].width, headers[path].height) for path in sample.files if path in headers}
        first = next(iter(sizes), None)
        for path in sample.files:
            if str(path) in unreadable:
                faults.append((sample.frame_id, unreadable[str(path)]))
            elif path in sizes and first is not None and sizes[path] != sizes[first]:
                faults.append((sample.frame_id, f"{path}: {headers[path]}, but {first} is {headers[first]}"))
    say_faults(report, WARNING if skip_bad else ERROR, faults)


def say_faults(report: DatasetReport, level: str, faults: Sequence[tuple[str, str]]) -> None:
    """Name the first faults one by one and count the others; all frames are in the finding."""
    report.findings += [Finding(level, reason, (frame_id,)) for frame_id, reason in faults[:_LISTED]]
    rest = tuple(frame_id for frame_id, _ in faults[_LISTED:])
    if rest:
        report.findings.append(Finding(level, f"{len(rest)} more frames cannot be used.", rest))


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
    say_faults(report, WARNING if skip_bad else ERROR, bad)
    report.classes = {name: seen[name] for name in kind.labels.classes[1:]}
    report.never_seen += [f"class {name}" for name, count in report.classes.items() if not count]


def say_never_seen(report: DatasetReport) -> None:
    """Say which activities, and where pictures were decoded which classes, do not occur."""
    if report.never_seen:
        hint = "" if report.classes is not None else " Which classes occur takes --deep."
        report.findings.append(Finding(NOTE, f"never seen: {', '.join(report.never_seen)}.{hint}"))


def _classes_in(sample: Sample) -> list[int] | str:
    try:
        _, mask = sample.read()
    except InputError as error:
        return str(error)
    return [int(index) for index in np.flatnonzero(np.bincount(mask.ravel())) if index not in (0, IGNORED)]
