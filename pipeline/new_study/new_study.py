"""Writes a study for a folder of images and one of masks: what their files tell, and sensible values for what they do not."""

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
from pipeline.new_study.classes import Ask, Classes, propose_classes
from pipeline.new_study.labels_csv import Labels, look_at_labels
from pipeline.new_study.masks import Look, look_at_frames, sampled, written
from pipeline.new_study.split import choose_test_sequences
from pipeline.new_study.text import TODO, Line, lines_of_classes, study_text
from pipeline.preparation.build_dataset import collect, split_of
from pipeline.sources.frame_pairs import pair_frames
from pipeline.sources.plain import FramePlain, PlainTree, read_tree
from pipeline.study.loading import make_study

STUDIES = Path("studies")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_FEWEST_FRAMES = 5


@dataclass(frozen=True)
class NewStudy:
    """A study that was written.

    path: its file. text: what it holds. found: what the files told. unknown: what they did not, each of which is marked in the text.
    """

    path: Path
    text: str
    found: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class _Frames:
    """All that was found of frames. names: of all images. frames: those whose files are there; looks: at some, those that can be used."""

    tree: PlainTree
    names: Mapping[str, Path | None]
    labels: Labels
    listed: Sequence[FramePlain]
    frames: Sequence[FramePlain]
    looks: Sequence[Look]

    @property
    def usable(self) -> list[Look]:
        return [look for look in self.looks if not look.error]

    @property
    def looked_at(self) -> str:
        """How many masks were looked at."""
        many = len(self.looks) < len(self.frames)
        return f"{len(self.looks)} of {len(self.frames)} masks" if many else f"all {len(self.looks)} masks"


def new_study(
    name: str, images: Path, masks: Path, labels: Path | None = None, overwrite: bool = False, ask: Ask | None = None
) -> NewStudy:
    """Look at frames and write a study for them, to studies/NAME.yaml where there is a folder studies/, else to NAME.yaml.

    Args:
        name: of the study and of its dataset. images: their folder, of any depth. masks: the folder of their masks. labels: a CSV that
            lists the frames, with activities or not. overwrite: whether to replace a study of this name.
        ask: asks a person for what files do not tell; None writes it down as TODO.

    Raises:
        InputError: if the name is none for a study or taken, if files cannot be paired or too few can be used, or if the CSV is
            malformed: with what was expected and what to do.
    """
    path = _path_of(name, overwrite)
    frames = _look(images, masks, labels, ask)
    classes = propose_classes(frames.usable, masks, ask)
    split = _split_lines(frames, classes)
    plain = [*_place_lines(frames), *lines_of_classes(classes, frames.looked_at), *_activity_lines(frames)]
    text = study_text(name, path, plain, split, len(frames.frames))
    study = make_study(yaml.safe_load(text))
    split_of(study, name, collect(study, name)[0].samples)
    write_text(path, text)
    said = [f"{line.key}: {line.said}" for line in (*plain, *split) if line.comment]
    unknown = tuple(line for line in said if TODO in line)
    return NewStudy(path, text, tuple(line for line in said if line not in unknown), unknown)


def _path_of(name: str, overwrite: bool) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the name {name[:80]!r}; expected at most 50 small letters without accents, digits and underscores, a letter first, like "
            "my_frames."
        )
    if name in KINDS or name in GENERALISATION:
        raise InputError(f"the name {name!r} is that of a known dataset; give your own frames another one.")
    path = STUDIES / f"{name}.yaml" if STUDIES.is_dir() else Path(f"{name}.yaml")
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"{path}: is there already. Choose another name, or replace it with --overwrite.")
    return path


def _check_is_text(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(f"{shown}: its name is not UTF-8 text, which a study is. Rename it, or make a link.") from None


def _look(images: Path, masks: Path, labels: Path | None, ask: Ask | None) -> _Frames:
    for path in (images, masks, *([labels] if labels is not None else [])):
        _check_is_text(path)
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(
                f"{folder}: {'no folder' if folder.exists() else 'missing'}; expected a folder of pictures."
            )
    names = pair_frames(images, masks)
    found = look_at_labels(labels, names, ask) if labels is not None else Labels()
    tree = PlainTree(images, masks, labels, found.columns)
    listed = read_tree(tree, tuple(found.activities))
    frames = [frame for frame in listed if frame.image.is_file() and frame.mask.is_file()]
    looks = look_at_frames(frames, os.cpu_count() or 1) if frames else []
    absent = [f"{path}: missing." for frame in listed for path in (frame.image, frame.mask) if not path.is_file()]
    faults = [look.error for look in looks if look.error]
    usable = len(looks) - len(faults)
    if usable < _FEWEST_FRAMES:
        first = f" The first fault: {(faults + absent)[0]}" if faults or absent else ""
        raise InputError(
            f"{images} and {masks}: {usable} of {len(listed)} frames can be used; expected {_FEWEST_FRAMES} or more.{first}"
        )
    return _Frames(tree, names, found, listed, frames, looks)


def _place_lines(frames: _Frames) -> list[Line]:
    """Where the frames lie, and what lies there."""
    bare = list(frames.names.values()).count(None)
    without = f"; images without a mask, which are left out: {bare} of {len(frames.names)}" if bare else ""
    lines = [
        Line("images", str(frames.tree.images), f"{len(frames.names)} images: {_kinds(frames.usable, 'image')}"),
        Line("masks", str(frames.tree.masks), f"{_kinds(frames.usable, 'mask')}{without}"),
    ]
    if frames.tree.labels is None:
        return lines
    others = len(frames.names) - len({frame.name for frame in frames.listed} & set(frames.names))
    unlisted = f"; images that it does not list, which are left out: {others}" if others else ""
    lines.append(Line("labels", str(frames.tree.labels), f"{len(frames.listed)} rows{unlisted}"))
    if frames.labels.said_so:
        unused = f"not used: {', '.join(frames.labels.unused)}" if frames.labels.unused else ""
        lines.append(Line("columns", dict(frames.labels.columns), unused))
    return lines


def _activity_lines(frames: _Frames) -> list[Line]:
    activities = frames.labels.activities
    counts = ", ".join(f"{name} {count}" for name, count in activities.items())
    return [Line("activities", list(activities), f"frames: {counts}")] if activities else []


def _split_lines(frames: _Frames, classes: Classes) -> list[Line]:
    """How frames are split, and whether some are left out."""
    looked = dict(zip(sampled(len(frames.frames)), frames.looks, strict=True))
    good = [(frame, looked.get(place, Look())) for place, frame in enumerate(frames.frames)]
    good = [(frame, look) for frame, look in good if not look.error]
    sequences = [frame.sequence for frame, _ in good]
    if "split" in frames.labels.columns:
        lines = [Line("split", GIVEN, "as the CSV's column says")]
    elif not any(sequences):
        lines = [
            Line(
                "split",
                RANDOM_BY_ACTIVITY,
                f"{TODO}a fifth of all frames is drawn and may resemble training frames: not every name tells one of several sequences "
                "(case1_0001.png)",
            )
        ]
    else:
        test = choose_test_sequences(sequences, [_shown(*one, classes) for one in good])
        source = "the CSV" if "sequence" in frames.labels.columns else "folders and names"
        count = sum(sequence in test for sequence in sequences)
        lines = [
            Line(
                "split",
                BY_SEQUENCE,
                f"{len(set(sequences))} sequences by {source}, e.g. {sequences[0]} has {good[0][0].name}",
            ),
            Line("test", test, f"{TODO}{count} of {len(sequences)} frames; other sequences may do better"),
        ]
    faulty = [look.error for look in frames.looks if look.error]
    absent = len(frames.listed) - len(frames.frames)
    if faulty or absent:
        gone = [f"frames that lack a file: {absent}"] if absent else []
        said = [f"{len(faulty)} of {len(frames.looks)} frames cannot be used: {faulty[0]}"] if faulty else []
        lines.append(Line("skip_bad", True, TODO + "; ".join(gone + said)))
    return lines


def _shown(frame: FramePlain, look: Look, classes: Classes) -> set[str]:
    """The classes and the activity that a frame shows; of one that was not looked at the activity alone."""
    values = (written(value, look.colours) if look.colours else value for value in look.values or ())
    return {f"class {classes.values[value]}" for value in values} | {f"activity {frame.activity}"}


def _kinds(looks: Sequence[Look], which: str) -> str:
    """Sizes and formats, the most frequent first."""
    counts = Counter(getattr(look, which) for look in looks).most_common()
    said = ", ".join(kind if len(counts) == 1 else f"{kind} ({count})" for kind, count in counts[:3])
    return said + (f" and {len(counts) - 3} other kinds" if len(counts) > 3 else "")
