"""Finds out which columns of a labels CSV hold names, activities, sequences and the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from endoarss.errors import shown
from pipeline.errors import InputError
from pipeline.labels.splits import TEST, TRAIN
from pipeline.new_study.classes import Ask, is_label
from pipeline.new_study.text import TODO
from pipeline.sources.plain import names_of_images, read_labels

# What people call the columns.
_CALLED = {
    "activity": ("activity", "action", "phase", "step", "task", "label", "class", "category"),
    "sequence": (
        "sequence",
        "seq",
        "video",
        "video_id",
        "case",
        "case_id",
        "patient",
        "patient_id",
        "procedure",
        "clip",
    ),
    "split": ("split", "set", "subset", "part", "fold"),
}
_MOST_ACTIVITIES = 50


@dataclass(frozen=True)
class Labels:
    """What a labels CSV says.

    columns: what it calls ours. said_so: whether the study must say it. activities: how many rows have each. unused: why other columns
    are not used, or that they are not.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    said_so: bool = False
    activities: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def look_at_labels(path: Path, images: Mapping[str, object], ask: Ask | None) -> Labels:
    """Find the columns of a labels CSV by what it calls them, that of names by the images that it names.

    Args:
        path: the CSV. images: all images by name. ask: asks for the column of activities where none is called so.

    Raises:
        InputError: if it is no CSV, has no head or no rows, rows are not as long as the head, or no column names images.
    """
    head, rows = read_labels(path)
    _check_head(path, head, len(rows), images)
    for line, fields in rows:
        if len(fields) != len(head):
            raise InputError(f"{path}, line {line}: {len(fields)} fields; expected {len(head)} ({', '.join(head)}).")
    cells = {name: [fields[place] for _, fields in rows] for place, name in enumerate(head)}
    known = names_of_images(images)
    hits = {name: sum(cell in known for cell in column) for name, column in cells.items()}
    of_names = max(hits, key=lambda name: (hits[name], name == "name"))
    if not hits[of_names]:
        raise InputError(
            f"{path}: no column of {', '.join(head)[:200]!r} names images; expected one that does. "
            f"An image is called {next(iter(images), 'case1_0001.png')!r}, with or without folder and ending."
        )
    columns, unused = {"name": of_names}, []
    for ours, called in _CALLED.items():
        theirs = next((name for word in called for name in head if name.lower() == word and name != of_names), "")
        if ours == "activity" and not theirs and ask is not None:
            theirs = _ask_column(ask, [name for name in head if name not in columns.values()])
        why_not = _WHY_NOT[ours](cells[theirs]) if theirs else ""
        if theirs and not why_not:
            columns[ours] = theirs
        elif theirs:
            unused.append(f"{theirs} ({why_not})")
    tried = {one.split(" (")[0] for one in unused}
    unused += [name for name in head if name not in columns.values() and name not in tried]
    said_so = bool(unused) or any(ours != theirs for ours, theirs in columns.items())
    activities = Counter(cells[columns["activity"]]) if "activity" in columns else Counter()
    return Labels(columns, said_so, dict(sorted(activities.items())), tuple(unused))


def _check_head(path: Path, head: Sequence[str], rows: int, images: Mapping[str, object]) -> None:
    """Refuse a CSV without a head, with two columns of one name, or without rows."""
    known = names_of_images(images)
    # A picture may be called name.png; one with a number is no column.
    image = next((name for name in head if name in known and any(map(str.isdigit, name))), None)
    if image is not None:
        raise InputError(
            f"{path}, line 1: {image!r} is the name of an image; expected a head that names the columns, such as name,activity."
        )
    twice = next((name for name in head if head.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: the column {twice!r} is there twice; expected a head of different names.")
    if not rows:
        raise InputError(f"{path}: no rows below the head; expected one for each image.")


def _ask_column(ask: Ask, names: Sequence[str]) -> str:
    if not names:
        return ""
    answer = ask(f"Column with each frame's activity, of {', '.join(names)} [none]: ").strip()
    return answer if answer in names else ""


def _no_activities(cells: Sequence[str]) -> str:
    different = set(cells)
    if "" in different:
        return "some are empty"
    unusable = [one for one in cells if not is_label(one)]
    if unusable:
        return f"{shown(unusable[0])} cannot be the name of an activity"
    if not 2 <= len(different) <= min(_MOST_ACTIVITIES, len(cells) / 2):
        return f"{len(different)} different values in {len(cells)} rows are no activities"
    return ""


def _no_sequences(cells: Sequence[str]) -> str:
    different = set(cells)
    return "some are empty" if "" in different else "all the same" if len(different) < 2 else ""


def _no_split(cells: Sequence[str]) -> str:
    different = set(cells)
    if TEST in different and different != {TRAIN, TEST}:
        # Whoever has a test split of their own must not have it trained on unawares.
        return f"{TODO}write {TRAIN} for all but {TEST} in the CSV, or {TEST} frames are trained on"
    return "" if different == {TRAIN, TEST} else f"expected {TRAIN} and {TEST} alone"


_WHY_NOT: Mapping[str, Callable[[Sequence[str]], str]] = {
    "activity": _no_activities,
    "sequence": _no_sequences,
    "split": _no_split,
}
