"""Writes a study for a folder of images and a folder of masks, from the content of the files and sensible defaults."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.datasets.kinds import BY_SEQUENCE, GENERALISATION, GIVEN, KINDS, RANDOM_BY_ACTIVITY
from pipeline.errors import InputError
from pipeline.io.files import write_text
from pipeline.labels.splits import TEST
from pipeline.new_study.classes import Ask, Classes, propose_classes
from pipeline.new_study.labels_csv import Labels, inspect_labels
from pipeline.new_study.masks import FrameContent, inspect_frames, sampled_indices, study_notation
from pipeline.new_study.split import choose_test_sequences
from pipeline.new_study.text import TODO, Line, lines_of_classes, study_text
from pipeline.preparation.build_dataset import collect, split_of
from pipeline.sources.frame_pairs import pair_frames
from pipeline.sources.plain import FramePlain, PlainTree, read_tree
from pipeline.study.loading import make_study
from pipeline.study.models import Study

STUDIES = Path("studies")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_FEWEST_FRAMES = 5
_NO_INTERVALS = "with one test sequence the report has no intervals"


@dataclass(frozen=True)
class NewStudy:
    """A written study.

    Attributes:
        path: its file.
        text: its content.
        found: the facts that the files give, one per line of the study.
        unknown: the facts that the files do not give, which are marked with TODO in the text.
    """

    path: Path
    text: str
    found: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class _Frames:
    """The frames in the folders, and the content of their files.

    Attributes:
        tree: folders and files of the frames.
        names: mask or None by the name of each image.
        labels: content of the labels CSV.
        listed: frames that the CSV lists, or all frames.
        frames: listed frames with existing files.
        contents: content of each inspected frame.
    """

    tree: PlainTree
    names: Mapping[str, Path | None]
    labels: Labels
    listed: Sequence[FramePlain]
    frames: Sequence[FramePlain]
    contents: Sequence[FrameContent]

    @property
    def usable(self) -> list[FrameContent]:
        return [content for content in self.contents if not content.error]

    @property
    def inspected(self) -> str:
        """The number of inspected masks, in words."""
        is_sample = len(self.contents) < len(self.frames)
        return f"{len(self.contents)} of {len(self.frames)} masks" if is_sample else f"all {len(self.contents)} masks"


def new_study(
    name: str, images: Path, masks: Path, labels: Path | None = None, overwrite: bool = False, ask: Ask | None = None
) -> NewStudy:
    """Inspect frames and write a study for them to studies/NAME.yaml, or to NAME.yaml if there is no folder studies/.

    Args:
        name: name of the study and of its dataset.
        images: folder of the images, whose subfolders are searched too.
        masks: folder of the masks.
        labels: a CSV that lists the frames, with or without activities.
        overwrite: whether to replace a study of this name.
        ask: asks the user for facts that the files do not give; with None the study marks them with TODO.

    Raises:
        InputError: if the name is invalid or taken, if files cannot be paired, if too few frames can be used, or if the CSV is malformed.
    """
    path = _path_of(name, overwrite)
    frames = _find_frames(images, masks, labels, ask)
    classes = propose_classes(frames.usable, masks, ask)
    split = _split_lines(frames, classes)
    plain = [*_folder_lines(frames), *lines_of_classes(classes, frames.inspected), *_activity_lines(frames)]
    text = study_text(name, path, plain, split, len(frames.frames))
    study = make_study(yaml.safe_load(text))
    _check_split(study, name, frames.labels)
    write_text(path, text)
    facts = [f"{line.key}: {line.one_line_comment}" for line in (*plain, *split) if line.comment]
    unknown = tuple(fact for fact in facts if TODO in fact)
    return NewStudy(path, text, tuple(fact for fact in facts if fact not in unknown), unknown)


def _check_split(study: Study, name: str, labels: Labels) -> None:
    """Raise InputError if the split has too few frames. The message names the columns that cannot be used, which may hold a split."""
    try:
        split_of(study, name, collect(study, name)[0].samples)
    except InputError as error:
        unusable = ", ".join(column for column in labels.unused if column.endswith(")"))
        raise InputError(f"{error} Not used of the CSV: {unusable}." if unusable else str(error)) from None


def _path_of(name: str, overwrite: bool) -> Path:
    """Return the file of a new study. Raise InputError if the name is invalid, or belongs to a dataset or another study."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the name {name[:80]!r} is invalid; expected at most 50 small letters without accents, digits and underscores, starting with "
            "a letter, like my_frames."
        )
    if name in KINDS or name in GENERALISATION:
        raise InputError(f"the name {name!r} belongs to a known dataset; give your own frames another name.")
    path = STUDIES / f"{name}.yaml" if STUDIES.is_dir() else Path(f"{name}.yaml")
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"{path}: exists already. Choose another name, or replace it with --overwrite.")
    return path


def _check_is_text(path: Path) -> None:
    """Raise InputError if a path is not UTF-8 text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(
            f"{shown}: the name is not UTF-8 text, so a study cannot contain it. Rename the file, or make a link to it."
        ) from None


def _find_frames(images: Path, masks: Path, labels: Path | None, ask: Ask | None) -> _Frames:
    for path in (images, masks, *([labels] if labels is not None else [])):
        _check_is_text(path)
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(
                f"{folder}: {'not a folder' if folder.exists() else 'missing'}; expected a folder of images."
            )
    names = pair_frames(images, masks)
    content = inspect_labels(labels, names, ask) if labels is not None else Labels()
    tree = PlainTree(images, masks, labels, content.columns)
    listed = read_tree(tree, tuple(content.activities))
    frames = [frame for frame in listed if frame.image.is_file() and frame.mask.is_file()]
    contents = inspect_frames(frames, os.cpu_count() or 1) if frames else []
    absent = [f"{path}: missing." for frame in listed for path in (frame.image, frame.mask) if not path.is_file()]
    faults = [content.error for content in contents if content.error]
    usable = len(contents) - len(faults)
    if usable < _FEWEST_FRAMES:
        first = f" The first fault: {(faults + absent)[0]}" if faults or absent else ""
        raise InputError(
            f"{images} and {masks}: {usable} of {len(listed)} frames can be used; expected {_FEWEST_FRAMES} or more.{first}"
        )
    return _Frames(tree, names, content, listed, frames, contents)


def _folder_lines(frames: _Frames) -> list[Line]:
    """Return the lines with the folders of the frames and their content."""
    without_mask = list(frames.names.values()).count(None)
    left_out = (
        f"; images without a mask, which are left out: {without_mask} of {len(frames.names)}" if without_mask else ""
    )
    lines = [
        Line("images", str(frames.tree.images), f"{len(frames.names)} images: {_kinds(frames.usable, 'image')}"),
        Line("masks", str(frames.tree.masks), f"{_kinds(frames.usable, 'mask')}{left_out}"),
    ]
    if frames.tree.labels is None:
        return lines
    others = len(frames.names) - len({frame.name for frame in frames.listed} & set(frames.names))
    unlisted = f"; images that are not in the list, which are left out: {others}" if others else ""
    lines.append(Line("labels", str(frames.tree.labels), f"{len(frames.listed)} rows{unlisted}"))
    if frames.labels.needs_columns:
        unused = f"not used: {', '.join(frames.labels.unused)}" if frames.labels.unused else ""
        lines.append(Line("columns", dict(frames.labels.columns), unused))
    return lines


def _activity_lines(frames: _Frames) -> list[Line]:
    activities = frames.labels.activities
    counts = ", ".join(f"{name} {count}" for name, count in activities.items())
    return [Line("activities", list(activities), f"frames: {counts}")] if activities else []


def _split_lines(frames: _Frames, classes: Classes) -> list[Line]:
    """Return the lines with the split, and with `skip_bad` if some frames are left out."""
    content_of = dict(zip(sampled_indices(len(frames.frames)), frames.contents, strict=True))
    usable = [(frame, content_of.get(index, FrameContent())) for index, frame in enumerate(frames.frames)]
    usable = [(frame, content) for frame, content in usable if not content.error]
    sequences = [frame.sequence for frame, _ in usable]
    if "split" in frames.labels.columns:
        tested = {frame.sequence for frame, _ in usable if frame.split == TEST}
        no_intervals = f"; {TODO}{_NO_INTERVALS}" if len(tested) == 1 and any(tested) else ""
        lines = [Line("split", GIVEN, f"from the column of the CSV{no_intervals}")]
    elif not any(sequences):
        lines = [
            Line(
                "split",
                RANDOM_BY_ACTIVITY,
                f"{TODO}about {len(usable) // 5} of {len(usable)} frames are drawn and may resemble training frames, "
                "because not every name begins with its video, as in case1_0001.png",
            )
        ]
    else:
        test = choose_test_sequences(sequences, [_labels_of(frame, content, classes) for frame, content in usable])
        source = "the CSV" if "sequence" in frames.labels.columns else "folders and names"
        count = sum(sequence in test for sequence in sequences)
        no_intervals = f"; {_NO_INTERVALS}" if len(test) == 1 else ""
        lines = [
            Line(
                "split",
                BY_SEQUENCE,
                f"{len(set(sequences))} sequences from {source}, e.g. {usable[0][0].name} belongs to {sequences[0]}",
            ),
            Line(
                "test",
                test,
                f"{TODO}{count} of {len(sequences)} frames; check whether other sequences are better{no_intervals}",
            ),
        ]
    faulty = [content.error for content in frames.contents if content.error]
    absent = len(frames.listed) - len(frames.frames)
    if faulty or absent:
        without_file = [f"frames that lack a file: {absent}"] if absent else []
        unusable = [f"{len(faulty)} of {len(frames.contents)} frames cannot be used: {faulty[0]}"] if faulty else []
        lines.append(Line("skip_bad", True, TODO + "; ".join(without_file + unusable)))
    return lines


def _labels_of(frame: FramePlain, content: FrameContent, classes: Classes) -> set[str]:
    """Return the classes and the activity of a frame, or only the activity if the frame was not inspected."""
    values = (study_notation(value, content.colours) if content.colours else value for value in content.values or ())
    return {f"class {classes.values[value]}" for value in values} | {f"activity {frame.activity}"}


def _kinds(contents: Sequence[FrameContent], which: str) -> str:
    """Return sizes and formats in words, the most frequent first."""
    counts = Counter(getattr(content, which) for content in contents).most_common()
    text = ", ".join(kind if len(counts) == 1 else f"{kind} ({count})" for kind, count in counts[:3])
    return text + (f" and {len(counts) - 3} other kinds" if len(counts) > 3 else "")
