"""Checks raw trees, one function per source, for the data that the datasets need. No image is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.io.images import Header, read_header
from pipeline.labels.activities import ACTIVITY_OF_ACTION
from pipeline.labels.classes import ENDOVIS, class_of_instrument
from pipeline.preparation.doctor.datasets import Headers
from pipeline.preparation.doctor.findings import ERROR, NOTE, WARNING, SourceReport
from pipeline.sources import endovis2017, endovis2018, plain, released, vqla

# Sequences of each release of EndoVis 2018, and the one sequence without annotations.
_RELEASES_2018 = {1: range(1, 5), 2: range(5, 8), 3: range(9, 13), 4: range(13, 17)}
_NOT_ANNOTATED = 13
# Frames of the released datasets by split (Table I of the paper).
_RELEASED_FRAMES = {"esd": {"train": 1618, "test": 402}, "released_mtlendovis": {"train": 1601, "test": 395}}


@dataclass(frozen=True)
class Need:
    """The requirements of the checked datasets on one raw tree.

    Attributes:
        complete: whether complete real downloads are expected, so that absent data is reported as missing.
        kinds: kinds of the datasets.
        annotations: the raw tree with the annotations of EndoVis 2018 frames.
        scheme: id scheme of the EndoVis 2018 types.
        activities: activities of a dataset of your own frames.
        headers: headers of the image files that the datasets are read from.
        plain: folders of your own frames.
    """

    complete: bool
    kinds: Collection[str]
    annotations: Path | None = None
    scheme: str = "detect"
    activities: tuple[str, ...] = ()
    headers: Headers = field(default_factory=dict, repr=False)
    plain: plain.PlainTree | None = None


def inspect_source(report: SourceReport, root: Path, need: Need) -> None:
    """Check one raw tree and add the results to its report. A source without a check is an error of the report.

    Args:
        report: the report to extend, which names the source.
        root: the raw tree with extracted archives.
        need: requirements of the datasets.
    """
    check = _CHECKS.get(report.source)
    if check is None:
        report.add(
            ERROR,
            f"the doctor has no check for the source {report.source!r}; expected one of {', '.join(_CHECKS)}. Add a function for it to "
            "_CHECKS in pipeline/preparation/doctor/sources.py.",
        )
        return
    try:
        check(report, root, need)
    except InputError as error:
        report.add(ERROR, str(error))


def _endovis2018(report: SourceReport, root: Path, need: Need) -> None:
    tree = endovis2018.read_tree(root, need.scheme)
    frames = list(tree.frames.values())
    by_sequence = Counter(frame.sequence for frame in frames)
    report.found["sequences"] = str(len(by_sequence))
    report.found["frames"] = str(len(frames))
    report.found["colour labels"] = str(sum(frame.label is not None for frame in frames))
    for name, scheme in tree.schemes.items():
        typed = sum(frame.types == name for frame in frames)
        report.found[f"types ({name})"] = f"{typed} frames, {scheme.name}"
        report.add(NOTE, f"id scheme {scheme.name}. {scheme.reason}.")
    _add_notes(report, tree.notes)
    usable = _usable_2018(need.annotations)
    if need.complete:
        for release, sequences in _RELEASES_2018.items():
            absent = [number for number in sequences if number not in {*by_sequence, _NOT_ANNOTATED}]
            if absent:
                report.missing.append(f"release {release}: {', '.join(f'seq_{number}' for number in absent)}")
        needed = Counter(sequence for sequence, _ in usable)
        absent_frames = Counter(sequence for sequence, _ in usable - set(tree.frames) if sequence in by_sequence)
        report.missing += [
            f"seq_{number}: {absent_frames[number]} of {needed[number]} frames" for number in sorted(absent_frames)
        ]
    used = [frame for key, frame in tree.frames.items() if key in usable]
    unlabelled = [str(frame.image) for frame in used if frame.label is None and frame.annotation is None]
    if unlabelled:
        report.missing.append(f"{len(unlabelled)} colour labels")
        report.add(WARNING, f"{len(unlabelled)} frames have no official label, e.g. {unlabelled[0]}", tuple(unlabelled))
    without_types = [str(frame.image) for frame in used if frame.types is None]
    if without_types:
        report.missing.append(
            f"instrument types of {len(without_types)} frames (available from {endovis2018.TYPES_FROM})"
        )
        report.add(
            WARNING,
            f"{len(without_types)} frames belong to sequences without instrument types, e.g. {without_types[0]}",
            tuple(without_types),
        )
    _add_unmatched(report, tree.unmatched)
    _add_headers(report, need, "frames", [frame.image for frame in frames], of_frames=True)
    _add_headers(report, need, "colour labels", [frame.label for frame in frames if frame.label])
    masks = [path for frame in frames for path in frame.files if path not in (frame.image, frame.label)]
    _add_headers(report, need, "type masks", masks)


def _usable_2018(root: Path | None) -> set[vqla.Key]:
    """Return the frames that a dataset can use: the annotated ones if the annotations are complete, otherwise those they should contain."""
    try:
        annotated = set(vqla.find_2018(root)) - vqla.SURPLUS_2018 if root is not None else set()
    except InputError:  # the check of the annotations reports the error
        annotated = set()
    if len(annotated) == vqla.FRAMES_2018:
        return annotated
    sequences = {*endovis2018.SEQUENCES} - {_NOT_ANNOTATED}
    return set(product(sequences, range(endovis2018.FRAMES_PER_SEQUENCE))) - vqla.SURPLUS_2018


def _endovis2017(report: SourceReport, root: Path, need: Need) -> None:
    tree = endovis2017.read_tree(root)
    frames = list(tree.frames.values())
    report.found["sequences"] = str(len({frame.sequence for frame in frames}))
    report.found["frames"] = str(len(frames))
    if "mtlendovis_gen" in need.kinds:
        typed = {(frame.sequence, frame.number) for frame in frames if frame.type_files}
        report.found["with type masks"] = str(len(typed))
        for number, annotated in endovis2017.ANNOTATED_FRAMES.items() if need.complete else ():
            absent = [frame for frame in annotated if (f"instrument_dataset_{number}", frame) not in typed]
            if absent:
                report.missing.append(
                    f"instrument_dataset_{number}: {len(absent)} of {len(annotated)} annotated frames, or their type masks"
                )
    if "endovis2017_parts" in need.kinds:
        report.found["with parts masks"] = str(sum(bool(frame.part_files) for frame in frames))
    _add_notes(report, tree.notes)
    _add_unmatched(report, tree.unmatched)
    _add_headers(report, need, "frames", [frame.image for frame in frames], of_frames=True)
    _add_headers(report, need, "masks", [path for f in frames for path in (*f.type_files, *f.part_files)])


def _vqla(report: SourceReport, root: Path, need: Need) -> None:
    is_2018 = report.source == "vqla2018"
    annotations = vqla.find_2018(root) if is_2018 else vqla.find_2017(root)
    annotated = {key: paths for key, paths in annotations.items() if not (is_2018 and key in vqla.SURPLUS_2018)}
    actions: Counter[str] = Counter()
    instruments: Counter[str] = Counter()
    without_state, read = [], 0
    for paths in tqdm(annotated.values(), desc=f"read {report.source}", unit="text", mininterval=1.0):
        try:
            states = vqla.read_agreeing(paths)
        except InputError as error:
            # The check of the dataset reports an error if this would stop the build.
            report.add(WARNING, str(error), tuple(map(str, paths)))
            continue
        read += 1
        actions.update(state.action for state in states)
        instruments.update(state.instrument for state in states)
        if not states:
            without_state.append(str(paths[0]))
    report.found["annotated frames"] = str(len(annotated))
    report.found["read"] = str(read)
    report.found["sequences"] = ", ".join(str(number) for number in sorted({sequence for sequence, _ in annotated}))
    for edition in vqla.editions_2018(root, annotations) if is_2018 else ():
        report.add(NOTE, f"{edition}.")
    in_two_editions = sum(len(paths) > 1 for paths in annotated.values())
    if in_two_editions:
        report.add(NOTE, f"two editions annotate {in_two_editions} frames, and they agree.")
    if without_state:
        text = f"{len(without_state)} annotations name no state of an instrument, e.g. {without_state[0]}"
        report.add(NOTE, text, tuple(without_state))
    without_class = [name for name in instruments if class_of_instrument(ENDOVIS, name) is None]
    if without_class:
        named = ", ".join(f"{name} ({instruments[name]})" for name in sorted(without_class))
        report.add(NOTE, f"instruments that are not a class of the benchmark: {named}.")
    absent_actions = sorted(set(ACTIVITY_OF_ACTION) - set(actions))
    if absent_actions and is_2018:
        report.add(WARNING if need.complete else NOTE, f"actions that never occur: {', '.join(absent_actions)}.")
    expected = vqla.FRAMES_2018 if is_2018 else vqla.FRAMES_2017
    if need.complete and len(annotated) < expected:
        expected_sequences = {*endovis2018.SEQUENCES} - {_NOT_ANNOTATED} if is_2018 else set()
        absent = sorted(expected_sequences - {sequence for sequence, _ in annotated})
        sequences = f" (none of {', '.join(f'seq_{number}' for number in absent)})" if absent else ""
        report.missing.append(f"{expected - len(annotated)} of {expected} annotations{sequences}")


def _released(report: SourceReport, root: Path, need: Need) -> None:
    frames = released.read_tree(root, report.source)
    by_split = Counter(frame.split for frame in frames)
    report.found["frames"] = str(len(frames))
    for split, count in by_split.items():
        report.found[split] = str(count)
    if need.complete:
        for split, expected in _RELEASED_FRAMES[report.source].items():
            if by_split[split] < expected:
                report.missing.append(f"{expected - by_split[split]} of {expected} images of {split}")
    without_mask = tuple(str(frame.image) for frame in frames if frame.mask is None)
    if without_mask:
        report.add(WARNING, f"{len(without_mask)} images have no mask, e.g. {without_mask[0]}", without_mask)
    if report.source == "released_mtlendovis" and len(frames) != sum(_RELEASED_FRAMES[report.source].values()):
        report.add(
            NOTE,
            "the activity of each folder comes from the paper's list; only a complete tree allows a check by counts.",
        )
    _add_headers(report, need, "images", [frame.image for frame in frames], of_frames=True)
    _add_headers(report, need, "masks", [frame.mask for frame in frames if frame.mask])


def _plain(report: SourceReport, _: Path, need: Need) -> None:
    assert need.plain is not None, "the caller gives the folders of your own frames"
    frames = plain.read_tree(need.plain, need.activities)
    report.found["frames"] = str(len(frames))
    absent = tuple(str(path) for frame in frames for path in (frame.image, frame.mask) if not path.is_file())
    if absent:
        report.missing.append(f"{len(absent)} images or masks, e.g. {absent[0]}")
    listed = {path for frame in frames for path in (frame.image, frame.mask)}
    folders = sorted({path.parent for path in listed})
    listed |= {
        need.plain.images / name for name in plain.images_without_mask(need.plain)
    }  # the check of the dataset reports images without a mask
    files = [path for folder in folders for path in sorted(folder.glob("[!.]*")) if not path.is_dir()]
    unmatched = tuple(str(path) for path in files if path not in listed | {need.plain.labels})
    if unmatched:
        report.add(WARNING, f"{len(unmatched)} files belong to no frame, e.g. {unmatched[0]}", unmatched)
    _add_headers(report, need, "images", [frame.image for frame in frames], of_frames=True)
    _add_headers(report, need, "masks", [frame.mask for frame in frames])


def _add_notes(report: SourceReport, notes: Mapping[str, str]) -> None:
    for name, note in notes.items():
        report.add(WARNING if name == "jpeg_frames" else NOTE, f"{note}.")


def _add_unmatched(report: SourceReport, unmatched: Iterable[Path]) -> None:
    files = tuple(map(str, sorted(unmatched)))
    if files:
        report.add(WARNING, f"{len(files)} masks or labels belong to no frame, e.g. {files[0]}", files)


def read_headers(paths: Iterable[Path], label: str) -> dict[Path, Header | str]:
    """Return the header of each image, or the error message if it cannot be read. Other files, such as annotations, are left out.

    Args:
        paths: files of frames.
        label: label of the progress bar.
    """
    images = sorted({path for path in paths if path.suffix.lower() in (".png", ".jpg", ".jpeg")})
    headers: dict[Path, Header | str] = {}
    for path in tqdm(images, desc=label, unit="file", mininterval=1.0):
        try:
            headers[path] = read_header(path)
        except InputError as error:
            headers[path] = str(error)
    return headers


def _add_headers(report: SourceReport, need: Need, what: str, paths: Collection[Path], of_frames: bool = False) -> None:
    """Add the sizes and modes of the files to the report, and warn about frames whose size, mode or format is not the usual one."""
    headers = {path: need.headers[path] for path in sorted(set(paths)) if path in need.headers}
    seen = {path: header for path, header in headers.items() if isinstance(header, Header)}
    if not seen:
        return
    report.found[f"{what} as"] = _counted(f"{header.mode} {header.format}" for header in seen.values())
    report.found[f"size of {what}"] = _counted(f"{header.width}x{header.height}" for header in seen.values())
    kinds = (("size", lambda h: f"{h.width}x{h.height}"), ("mode", lambda h: h.mode), ("format", lambda h: h.format))
    for kind, value_of in kinds if of_frames else ():
        usual, _ = Counter(value_of(header) for header in seen.values()).most_common(1)[0]
        others = tuple(str(path) for path, header in seen.items() if value_of(header) != usual)
        if others:
            example = f"{seen[Path(others[0])]}: {others[0]}"
            report.add(
                WARNING,
                f"{len(others)} of {len(seen)} {what} do not have the usual {kind} {usual}, e.g. {example}",
                others,
            )


def _counted(names: Iterable[str]) -> str:
    counts: Mapping[str, int] = Counter(names)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


_CHECKS = {
    **{"endovis2018": _endovis2018, "endovis2017": _endovis2017},
    **{"vqla2018": _vqla, "vqla2017": _vqla, "plain": _plain},
    **{"esd": _released, "released_mtlendovis": _released},
}
