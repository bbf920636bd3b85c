"""Examines raw trees, one function a source: folders and names are listed and headers read, pictures are not decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tqdm import tqdm

from pipeline.datasets.activities import ACTIVITY_OF_ACTION
from pipeline.datasets.labels import ENDOVIS, class_of_instrument
from pipeline.doctor.findings import ERROR, NOTE, WARNING, SourceReport
from pipeline.errors import InputError
from pipeline.images import Header, read_header
from pipeline.sources import endovis2017, endovis2018, plain, released, vqla

_RELEASES_2018 = {1: range(1, 5), 2: range(5, 8), 3: range(9, 13), 4: range(13, 17)}
# Frames of the released datasets by part (Table I of the paper).
_RELEASED_FRAMES = {"esd": {"train": 1618, "test": 402}, "released_mtlendovis": {"train": 1601, "test": 395}}


def examine_source(
    report: SourceReport, root: Path, whole: bool, scheme: str = "detect", activities: tuple[str, ...] = ()
) -> None:
    """Fill in the report of one source.

    Args:
        report: says which source. root: the raw tree, archives extracted.
        whole: whether the real downloads are expected, so that what they have more is missing.
        scheme: id scheme of the EndoVis 2018 types. activities: of a dataset of one's own.
    """
    try:
        if report.source == "endovis2018":
            _endovis2018(report, root, whole, scheme)
        elif report.source == "endovis2017":
            _endovis2017(report, root, whole)
        elif report.source.startswith("vqla"):
            _vqla(report, root, whole)
        elif report.source == "plain":
            _plain(report, root, activities)
        else:
            _released(report, root, whole)
    except InputError as error:
        report.say(ERROR, str(error))


def _endovis2018(report: SourceReport, root: Path, whole: bool, scheme: str) -> None:
    tree = endovis2018.read_tree(root, scheme)
    frames = list(tree.frames.values())
    by_sequence = Counter(frame.sequence for frame in frames)
    report.found["sequences"] = str(len(by_sequence))
    report.found["frames"] = str(len(frames))
    report.found["colour labels"] = str(sum(frame.label is not None for frame in frames))
    for name, settled in tree.schemes.items():
        typed = sum(frame.types == name for frame in frames)
        report.found[f"types ({name})"] = f"{typed} frames, {settled.name}"
        report.say(NOTE, f"id scheme {settled.name}. {settled.reason}.")
    if whole:
        for release, sequences in _RELEASES_2018.items():
            absent = [number for number in sequences if number not in by_sequence]
            if absent:
                report.missing.append(f"release {release}: {', '.join(f'seq_{number}' for number in absent)}")
        full = endovis2018.FRAMES_A_SEQUENCE
        short = {number: count for number, count in sorted(by_sequence.items()) if count < full}
        report.missing += [f"seq_{number}: {full - count} of {full} frames" for number, count in short.items()]
    bare = [str(frame.image) for frame in frames if frame.label is None and frame.annotation is None]
    if bare:
        report.missing.append(f"{len(bare)} colour labels")
        report.say(WARNING, f"{len(bare)} frames without official label, e.g. {bare[0]}", tuple(bare))
    untyped = [str(frame.image) for frame in frames if frame.types is None]
    if untyped:
        report.missing.append(f"instrument types of {len(untyped)} frames (ask at {endovis2018.TYPES_FROM})")
        report.say(
            WARNING, f"{len(untyped)} frames in sequences without instrument types, e.g. {untyped[0]}", tuple(untyped)
        )
    _say_loose(report, tree.loose)
    _examine_headers(report, "frames", (frame.image for frame in frames), of_frames=True)
    _examine_headers(report, "colour labels", (frame.label for frame in frames if frame.label))
    masks = (path for frame in frames for path in frame.files if path not in (frame.image, frame.label))
    _examine_headers(report, "type masks", masks)


def _endovis2017(report: SourceReport, root: Path, whole: bool) -> None:
    tree = endovis2017.read_tree(root)
    frames = list(tree.frames.values())
    typed = [frame for frame in frames if frame.types or frame.by_instrument]
    report.found["sequences"] = str(len({frame.sequence for frame in frames}))
    report.found["frames"] = str(len(frames))
    report.found["with type masks"] = str(len(typed))
    report.found["with parts masks"] = str(sum(bool(frame.parts or frame.by_instrument) for frame in frames))
    if whole:
        there = {(frame.sequence, frame.number) for frame in typed}
        for number, wanted in endovis2017.ANNOTATED_FRAMES.items():
            absent = [frame for frame in wanted if (f"instrument_dataset_{number}", frame) not in there]
            if absent:
                report.missing.append(
                    f"instrument_dataset_{number}: {len(absent)} of its {len(wanted)} annotated frames, or their type masks"
                )
    _say_loose(report, tree.loose)
    _examine_headers(report, "frames", (frame.image for frame in frames), of_frames=True)
    _examine_headers(report, "masks", (path for frame in frames for path in frame.files if path != frame.image))


def _vqla(report: SourceReport, root: Path, whole: bool) -> None:
    is_2018 = report.source == "vqla2018"
    texts = vqla.find_2018(root) if is_2018 else vqla.find_2017(root)
    actions: Counter[str] = Counter()
    instruments: Counter[str] = Counter()
    silent, read = [], 0
    for paths in tqdm(texts.values(), desc=f"read {report.source}", unit="text", mininterval=1.0):
        try:
            states = vqla.read_agreeing(paths)
        except InputError as error:
            # Whether that stops a build is for the dataset to say.
            report.say(WARNING, str(error), tuple(map(str, paths)))
            continue
        read += 1
        actions.update(state.action for state in states)
        instruments.update(state.instrument for state in states)
        if not states:
            silent.append(str(paths[0]))
    report.found["annotated frames"] = str(len(texts))
    report.found["read"] = str(read)
    report.found["sequences"] = ", ".join(str(number) for number in sorted({sequence for sequence, _ in texts}))
    twice = sum(len(paths) > 1 for paths in texts.values())
    if twice:
        report.say(NOTE, f"{twice} frames are annotated by two editions, which agree.")
    if silent:
        report.say(NOTE, f"{len(silent)} annotations name no instrument's state, e.g. {silent[0]}", tuple(silent))
    strange = [n for n in instruments if class_of_instrument(ENDOVIS, n) is None]
    if strange:
        named = ", ".join(f"{name} ({instruments[name]})" for name in sorted(strange))
        report.say(NOTE, f"instruments that are no class of the benchmark: {named}.")
    unseen = sorted(set(ACTIVITY_OF_ACTION) - set(actions))
    if unseen and is_2018:
        report.say(WARNING if whole else NOTE, f"actions that never occur: {', '.join(unseen)}.")
    expected = vqla.FRAMES_2018 if is_2018 else vqla.FRAMES_2017
    if whole and len(texts) < expected:
        if is_2018:
            wanted = {*endovis2018.SEQUENCES} - {13}
            absent = sorted(wanted - {sequence for sequence, _ in texts})
            shown = f" (none of {', '.join(f'seq_{number}' for number in absent)})" if absent else ""
        else:
            shown = ""
        report.missing.append(f"{expected - len(texts)} of {expected} annotations{shown}")


def _released(report: SourceReport, root: Path, whole: bool) -> None:
    frames = released.read_tree(root, report.source)
    by_split = Counter(frame.split for frame in frames)
    report.found["pictures"] = str(len(frames))
    for split, count in by_split.items():
        report.found[split] = str(count)
    if whole:
        for split, expected in _RELEASED_FRAMES[report.source].items():
            if by_split[split] < expected:
                report.missing.append(f"{expected - by_split[split]} of {expected} pictures of {split}")
    bare = tuple(str(frame.image) for frame in frames if frame.mask is None)
    if bare:
        report.say(WARNING, f"{len(bare)} pictures without mask, e.g. {bare[0]}", bare)
    if report.source == "released_mtlendovis" and len(frames) != sum(_RELEASED_FRAMES[report.source].values()):
        report.say(
            NOTE, "which activity a folder is was taken from the paper's list; counts would tell in a complete tree."
        )
    _examine_headers(report, "pictures", (frame.image for frame in frames), of_frames=True)
    _examine_headers(report, "masks", (frame.mask for frame in frames if frame.mask))


def _plain(report: SourceReport, root: Path, activities: tuple[str, ...]) -> None:
    frames = plain.read_tree(root, activities)
    report.found["frames"] = str(len(frames))
    absent = tuple(str(path) for frame in frames for path in (frame.image, frame.mask) if not path.is_file())
    if absent:
        report.missing.append(f"{len(absent)} files that labels.csv names")
        report.say(WARNING, f"{len(absent)} files that labels.csv names are missing, e.g. {absent[0]}", absent)
    listed = {path.name for frame in frames for path in (frame.image, frame.mask)}
    listed |= {path.name for path in plain.images_without_mask(root)}
    loose = [
        path for folder in ("images", "masks") for path in (root / folder).glob("[!.]*") if path.name not in listed
    ]
    _say_loose(report, loose)
    _examine_headers(report, "images", (frame.image for frame in frames if frame.image.is_file()), of_frames=True)
    _examine_headers(report, "masks", (frame.mask for frame in frames if frame.mask.is_file()))


def _say_loose(report: SourceReport, loose: Iterable[Path]) -> None:
    files = tuple(map(str, sorted(loose)))
    if files:
        report.say(WARNING, f"{len(files)} annotations without a frame, e.g. {files[0]}", files)


def _examine_headers(report: SourceReport, what: str, paths: Iterable[Path], of_frames: bool = False) -> None:
    """Say which sizes and modes occur; of frames name those of the rarer sizes and modes. Masks are compared with their own
    frames later."""
    seen: dict[Path, Header] = {}
    for path in tqdm(sorted(set(paths)), desc=f"headers of {report.source} {what}", unit="file", mininterval=1.0):
        try:
            seen[path] = read_header(path)
        except InputError as error:
            report.unreadable[str(path)] = str(error)
    report.headers |= seen
    if not seen:
        return
    report.found[f"{what} as"] = _counted(header.mode for header in seen.values())
    report.found[f"size of {what}"] = _counted(f"{header.width}x{header.height}" for header in seen.values())
    for kind, of in (("size", lambda h: f"{h.width}x{h.height}"), ("mode", lambda h: h.mode)) if of_frames else ():
        usual, _ = Counter(of(header) for header in seen.values()).most_common(1)[0]
        others = tuple(str(path) for path, header in seen.items() if of(header) != usual)
        if others:
            example = f"{seen[Path(others[0])]}: {others[0]}"
            report.say(
                WARNING, f"{len(others)} of {len(seen)} {what} have another {kind} than {usual}, e.g. {example}", others
            )


def _counted(names: Iterable[str]) -> str:
    counts: Mapping[str, int] = Counter(names)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
