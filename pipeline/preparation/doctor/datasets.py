"""Checks the frames, activities and split of a dataset before it is built, and reads its images and masks as the build does."""

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

_LISTED_AT_MOST = 10  # faults that get a finding each
_SAMPLE_SIZE = 3  # frames per folder and split that are decoded without --deep

# Header of each image by path, or the error message if it cannot be read.
Headers = Mapping[Path, Header | str]


def inspect_dataset(
    report: DatasetReport,
    kind: Kind,
    collected: Collected,
    split: Mapping[str, str],
    failures: Mapping[str, str],
    skip_bad: bool,
) -> None:
    """Add the collected frames and the read failures of a dataset to its report.

    Args:
        report: the report to extend.
        kind: kind of the dataset.
        collected: frames of the dataset.
        split: train or test by frame id; empty if the split rule does not fit the frames.
        failures: error message of each unreadable frame, by frame id.
        skip_bad: whether faulty frames are left out. Their findings are then warnings instead of errors.
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
            report.findings.append(
                Finding(WARNING, f"{len(group.frames)} frames are left out: {group.reason}", group.frames)
            )
    level = WARNING if skip_bad else ERROR
    reasons = [(frame, group.reason) for group in faults for frame in group.frames] + [*failures.items()]
    report.findings += [Finding(level, reason, (frame,)) for frame, reason in reasons[:_LISTED_AT_MOST]]
    if len(reasons) > _LISTED_AT_MOST:
        rest = tuple(frame for frame, _ in reasons[_LISTED_AT_MOST:])
        report.findings.append(Finding(level, f"{len(rest)} more frames cannot be used.", rest))
    without_types = tuple(s.frame_id for s in samples if "no_type_mask" in s.flags and _names_raw_types(kind, s))
    if without_types:
        text = f"{len(without_types)} frames have instruments in their annotation, but no type mask, e.g. {without_types[0]}"
        report.findings.append(Finding(WARNING, text, without_types))


def _names_raw_types(kind: Kind, sample: Sample) -> bool:
    """Return whether an annotation names an instrument for which raw types have masks."""
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
    """Read frames as the build does, and return the error message of each unreadable frame, by frame id.

    Args:
        report: the report, to which the classes that occur are added if `deep`.
        kind: kind of the dataset.
        samples: frames of the dataset.
        split: train or test by frame id.
        headers: headers of the frames' files.
        deep: read every frame, instead of a sample of each folder and the frames with unusual headers.
        skip_bad: whether faulty frames are left out. If the sample contains one, all frames are read, because the verdict depends on the
            number of readable frames.
        workers: largest number of processes.
    """
    selection = (
        samples
        if deep
        else [
            *dict.fromkeys([*_sample_every_folder(samples, split, headers), *_with_unusual_headers(samples, headers)])
        ]
    )
    # Starting processes takes longer than reading a sample.
    results = _read(report.dataset, selection, workers if deep else 1)
    if skip_bad and any(isinstance(result, str) for result in results.values()):
        results |= _read(report.dataset, [sample for sample in samples if sample.frame_id not in results], workers)
    if deep:
        seen = Counter(index for result in results.values() if not isinstance(result, str) for index in result)
        report.classes = {name: seen[index] for index, name in enumerate(kind.labels.classes) if index}
        report.never_seen += [f"class {name}" for name, count in report.classes.items() if not count]
    return {frame_id: result for frame_id, result in results.items() if isinstance(result, str)}


def _read(dataset: str, samples: Sequence[Sample], workers: int) -> dict[str, list[int] | str]:
    """Return the classes in each frame, or the error message if it cannot be read, by frame id."""
    results = ordered_map(_classes_in, samples, workers, f"read {dataset}")
    return {sample.frame_id: result for sample, result in zip(samples, results, strict=True)}


def _sample_every_folder(samples: Sequence[Sample], split: Mapping[str, str], headers: Headers) -> list[Sample]:
    """Return the first, a middle and the last frame of each split in every image folder."""
    groups: dict[tuple[Path, str], dict[Sample, None]] = {}
    for sample in samples:
        for path in sample.files:
            if path in headers:
                groups.setdefault((path.parent, split.get(sample.frame_id, "")), {})[sample] = None
    selection: dict[Sample, None] = {}
    for members in groups.values():
        ordered = list(members)
        indices = np.linspace(0, len(ordered) - 1, min(len(ordered), _SAMPLE_SIZE)).round().astype(int)
        selection |= dict.fromkeys(ordered[index] for index in indices)
    return list(selection)


def _with_unusual_headers(samples: Sequence[Sample], headers: Headers) -> list[Sample]:
    """Return the frames with unreadable, unusual or differing headers, which must be read to find out what is wrong."""
    doubtful = []
    for sample in samples:
        of_sample = {path: headers[path] for path in sample.files if path in headers}
        known = {path: header for path, header in of_sample.items() if not isinstance(header, str)}
        sizes = {(header.width, header.height) for header in known.values()}
        if len(sizes) > 1 or len(known) < len(of_sample) or any(map(_is_unusual, known, known.values())):
            doubtful.append(sample)
    return doubtful


def _is_unusual(path: Path, header: Header) -> bool:
    """Return whether an image does not have 8 bits per channel, has an EXIF rotation, or is named .png without being a PNG."""
    misnamed = path.suffix.lower() == ".png" and header.format != "PNG"
    return misnamed or header.bits != 8 or header.orientation != 1


def add_never_seen(report: DatasetReport) -> None:
    """Add a note on the activities that do not occur, and on the classes if every image was decoded."""
    if report.never_seen:
        hint = "" if report.classes is not None else " To check the classes too, use --deep."
        report.findings.append(Finding(NOTE, f"never seen: {', '.join(report.never_seen)}.{hint}"))


def _classes_in(sample: Sample) -> list[int] | str:
    """Return the ids of the classes in a frame, or the error message if it cannot be read."""
    try:
        _, mask = sample.read()
    except InputError as error:
        return str(error)
    return [int(index) for index in np.flatnonzero(np.bincount(mask.ravel())) if index not in (0, IGNORED)]
