"""Finds the columns of a labels CSV that hold names, activities, sequences and the split."""

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

# Usual names of the columns.
_USUAL_NAMES = {
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
    """The content of a labels CSV.

    Attributes:
        columns: the CSV's name of each column that is used, by the name that this project gives it.
        needs_columns: whether the study needs the key `columns`.
        activities: number of rows of each activity.
        unused: names of the columns that are not used, some with the reason.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    needs_columns: bool = False
    activities: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def inspect_labels(path: Path, images: Mapping[str, object], ask: Ask | None) -> Labels:
    """Find the columns of a labels CSV by their usual names, and the column of image names by its content.

    Args:
        path: the CSV.
        images: all images by name.
        ask: asks the user for the column of activities if no column has a usual name.

    Raises:
        InputError: if the file is not a CSV, has no header or no rows, if two columns have the same name, if a row differs in length
            from the header, if no column contains image names, or if the column of the split is train or test in all rows.
    """
    header, rows = read_labels(path)
    _check_header(path, header, len(rows), images)
    for line, fields in rows:
        if len(fields) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(fields)} fields; expected {len(header)} ({', '.join(header)})."
            )
    cells = {name: [fields[index] for _, fields in rows] for index, name in enumerate(header)}
    image_of_name = names_of_images(images)
    hits = {name: sum(cell in image_of_name for cell in column) for name, column in cells.items()}
    name_column = max(hits, key=lambda name: (hits[name], name == "name"))
    if not hits[name_column]:
        raise InputError(
            f"{path}: none of the columns {', '.join(header)[:200]!r} contains image names; expected one column with names such as "
            f"{next(iter(images), 'case1_0001.png')!r}, with or without folder and ending."
        )
    columns, unused = {"name": name_column}, []
    for column, usual_names in _USUAL_NAMES.items():
        candidates = [name for usual in usual_names for name in header if name.lower() == usual and name != name_column]
        own_name = next(iter(candidates), "")
        if column == "activity" and not own_name and ask is not None:
            own_name = _ask_column(ask, [name for name in header if name not in columns.values()])
        if column == "split" and own_name:
            _check_split(path, own_name, cells[own_name])
        why_not = _WHY_NOT[column](cells[own_name]) if own_name else ""
        if own_name and not why_not:
            columns[column] = own_name
        elif own_name:
            unused.append(f"{own_name} ({why_not})")
    rejected = {text.split(" (")[0] for text in unused}
    unused += [name for name in header if name not in columns.values() and name not in rejected]
    needs_columns = bool(unused) or any(column != own_name for column, own_name in columns.items())
    activities = Counter(cells[columns["activity"]]) if "activity" in columns else Counter()
    return Labels(columns, needs_columns, dict(sorted(activities.items())), tuple(unused))


def _check_header(path: Path, header: Sequence[str], rows: int, images: Mapping[str, object]) -> None:
    """Raise InputError if a CSV has no header, two columns of the same name, or no rows."""
    image_of_name = names_of_images(images)
    # An image may be called name.png, so only names with a digit show that the header is missing.
    image = next((name for name in header if name in image_of_name and any(map(str.isdigit, name))), None)
    if image is not None:
        raise InputError(
            f"{path}, line 1: {image!r} is the name of an image; expected a header with column names, such as name,activity."
        )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: the column {twice!r} occurs twice; expected different column names.")
    if not rows:
        raise InputError(f"{path}: no rows below the header; expected one row per image.")


def _ask_column(ask: Ask, names: Sequence[str]) -> str:
    if not names:
        return ""
    reply = ask(f"Column with the activity of each frame, one of {', '.join(names)} [none]: ").strip()
    return reply if reply in names else ""


def _why_no_activities(cells: Sequence[str]) -> str:
    values = set(cells)
    if "" in values:
        return "some rows are empty"
    unusable = [name for name in cells if not is_label(name)]
    if unusable:
        return f"{shown(unusable[0])} cannot be the name of an activity"
    if not 2 <= len(values) <= min(_MOST_ACTIVITIES, len(cells) / 2):
        return f"{len(values)} different values in {len(cells)} rows cannot be activities"
    return ""


def _why_no_sequences(cells: Sequence[str]) -> str:
    values = set(cells)
    return "some rows are empty" if "" in values else "all rows are equal" if len(values) < 2 else ""


def _why_no_split(cells: Sequence[str]) -> str:
    values = set(cells)
    if TEST in values and values != {TRAIN, TEST}:
        # The CSV has a test split, so its frames must not be trained on without notice.
        return f"{TODO}write {TRAIN} for all frames except {TEST} in the CSV; otherwise {TEST} frames may be used for training"
    return "" if values == {TRAIN, TEST} else f"expected only {TRAIN} and {TEST}"


def _check_split(path: Path, column: str, cells: Sequence[str]) -> None:
    """Raise InputError if all rows are train, or all rows are test."""
    for only, other in ((TEST, TRAIN), (TRAIN, TEST)):
        if set(cells) == {only}:
            raise InputError(
                f"{path}: the column {column!r} has no {other} frames, because all {len(cells)} rows are {only}. Write {other} for the "
                f"frames of the {other} split, or remove the column; without it, `new` chooses the test frames."
            )


# For each column, a function that returns why its values cannot be used, or an empty string.
_WHY_NOT: Mapping[str, Callable[[Sequence[str]], str]] = {
    "activity": _why_no_activities,
    "sequence": _why_no_sequences,
    "split": _why_no_split,
}
