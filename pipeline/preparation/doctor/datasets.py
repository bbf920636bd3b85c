"""Examines what a dataset would hold: its frames, activities and split, and its pictures and masks, read as the build reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from endoarss.labels import IGNORED
from pipeline.datasets.kinds import Kind
from pipeline.datasets.sample import ABSENT, BAD, Collected, Sample
from pipeline.errors import InputError
from pipeline.io.images import Header
from pipeline.io.processes import ordered_map
from pipeline.labels.classes import class_of_instrument
from pipeline.preparation.doctor.findings import ERROR, NOTE, WARNING, DatasetReport, Finding

_LISTED = 10  # faults that are told one by one
_SAMPLED = 3  # frames of a folder and part that are decoded without --deep

# Header of each picture by path, or why there is none.
Headers = Mapping[Path, Header | str]


def inspect_dataset(
    report: DatasetReport,
    kind: Kind,
    collected: Collected,
    split: Mapping[str, str],
    failures: Mapping[str, str],
    skip_bad: bool,
) -> None:
    """Fill in the report from the collected frames and the failures to read some.

    Args:
        report: to fill. kind: what it is. collected: its frames. split: the part of each, empty where the rule does not fit.
        failures: why frames cannot be read, by frame id. skip_bad: whether faulty frames are left out, so that they are no errors.
    """
    samples = [sample for sample in collected.samples if not (skip_bad and sample.frame_id in failures)]
    report.frames = len(samples)
    report.by_split = dict(sorted(Counter(split[s.frame_id] for s in samples if split).items()))
    counts = Counter(sample.activity for sample in samples)
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
    told = [(frame, group.reason) for group in faults for frame in group.frames] + [*failures.items()]
    report.findings += [Finding(level, reason, (frame,)) for frame, reason in told[:_LISTED]]
    if len(told) > _LISTED:
        rest = tuple(frame for frame, _ in told[_LISTED:])
        report.findings.append(Finding(level, f"{len(rest)} more frames cannot be used.", rest))
    untyped = tuple(s.frame_id for s in samples if "no_type_mask" in s.flags and _names_raw_types(kind, s))
    if untyped:
        text = f"{len(untyped)} frames name instruments in their annotation, but have no type mask, e.g. {untyped[0]}"
        report.findings.append(Finding(WARNING, text, untyped))


def _names_raw_types(kind: Kind, sample: Sample) -> bool:
    """Whether an annotation names an instrument that raw types have masks of."""
    named = {class_of_instrument(kind.labels, instrument) for instrument in sample.instruments}
    return bool(named - {None, "Ultrasound Probe", "Suction Instrument"})


def read_failures(
    report: DatasetReport,
    kind: Kind,
    samples: Sequence[Sample],
    split: Mapping[str, str],
    headers: Headers,
    deep: bool,
    skip_bad: bool,
    workers: int,
) -> dict[str, str]:
    """Read frames as the build does, and return why some cannot be read, by frame id.

    Args:
        report: is told which classes occur, if every frame was read. kind: what the dataset is. samples: its frames.
        split: the part of each. headers: of their files. deep: read every frame, not a sample of each folder and what looks wrong by
        its headers. skip_bad: whether faulty frames are left out; if the sample has one, all are read, for what is left decides.
        workers: processes at most.
    """
    chosen = (
        samples
        if deep
        else [*dict.fromkeys([*_of_every_folder(samples, split, headers), *_doubtful(samples, headers)])]
    )
    # Processes take longer to start than a sample takes to read.
    read = _read(report.dataset, chosen, workers if deep else 1)
    if skip_bad and any(isinstance(result, str) for result in read.values()):
        read |= _read(report.dataset, [sample for sample in samples if sample.frame_id not in read], workers)
    if deep:
        seen = Counter(index for result in read.values() if not isinstance(result, str) for index in result)
        report.classes = {name: seen[index] for index, name in enumerate(kind.labels.classes) if index}
        report.never_seen += [f"class {name}" for name, count in report.classes.items() if not count]
    return {frame_id: result for frame_id, result in read.items() if isinstance(result, str)}


def _read(dataset: str, samples: Sequence[Sample], workers: int) -> dict[str, list[int] | str]:
    """The classes in each frame, or why it cannot be read, by frame id."""
    results = ordered_map(_classes_in, samples, workers, f"read {dataset}")
    return {sample.frame_id: result for sample, result in zip(samples, results, strict=True)}


def _of_every_folder(samples: Sequence[Sample], split: Mapping[str, str], headers: Headers) -> list[Sample]:
    """Of every folder that pictures are read from, and of each part in it, the first and last frame and one between them."""
    groups: dict[tuple[Path, str], dict[Sample, None]] = {}
    for sample in samples:
        for path in sample.files:
            if path in headers:
                groups.setdefault((path.parent, split.get(sample.frame_id, "")), {})[sample] = None
    chosen: dict[Sample, None] = {}
    for users in groups.values():
        ordered = list(users)
        places = np.linspace(0, len(ordered) - 1, min(len(ordered), _SAMPLED)).round().astype(int)
        chosen |= dict.fromkeys(ordered[place] for place in places)
    return list(chosen)


def _doubtful(samples: Sequence[Sample], headers: Headers) -> list[Sample]:
    """Return the frames whose files' headers are unreadable, of several sizes, or unusual; reading these frames tells what is wrong."""
    found = []
    for sample in samples:
        of_sample = {path: headers[path] for path in sample.files if path in headers}
        known = {path: header for path, header in of_sample.items() if not isinstance(header, str)}
        sizes = {(header.width, header.height) for header in known.values()}
        if len(sizes) > 1 or len(known) < len(of_sample) or any(map(_is_unusual, known, known.values())):
            found.append(sample)
    return found


def _is_unusual(path: Path, header: Header) -> bool:
    """Whether a picture has other than 8 bits per channel, asks to be turned, or is no PNG although its name says so."""
    misnamed = path.suffix.lower() == ".png" and header.format != "PNG"
    return misnamed or header.bits != 8 or header.orientation != 1


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
