"""Proposes the meaning of mask values: background, classes and ignored pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import InputError
from pipeline.labels.classes import IGNORE
from pipeline.new_study.masks import HIGHEST_ID, FrameContent, study_notation
from pipeline.study.models import LABEL_EXPECTED, Label

Ask = Callable[[str], str]
"""Ask the user a question, and return the reply."""

_IGNORED_BYTE = 255
_MOST_CLASSES = 64
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True)
class Classes:
    """The proposed classes of a study.

    Attributes:
        names: class names, the background first.
        values: class or `IGNORE` by value, in the notation of a study.
        values_are_ids: whether each value is the index of its class, so that the study does not need `values`.
        shares: share of all pixels, by value.
        named_by_user: whether the user named the classes.
    """

    names: list[str]
    values: dict[int | str, str]
    values_are_ids: bool
    shares: dict[int | str, float]
    named_by_user: bool

    @property
    def ignored(self) -> bool:
        """Whether a value is proposed as ignored pixels."""
        return IGNORE in self.values.values()


def propose_classes(contents: Sequence[FrameContent], masks: Path, ask: Ask | None) -> Classes:
    """Propose classes from the values in usable masks.

    The background is zero or black if it occurs, otherwise the most frequent value. The number 255 is proposed as ignored if all other
    numbers are small.

    Args:
        contents: the contents of the frames that can be used.
        masks: folder of the masks, for messages.
        ask: asks the user for class names; with None the names are class_1, class_2, ...

    Raises:
        InputError: if all masks hold a single value, or if there are too many values for classes.
    """
    colours = contents[0].colours
    pixels: Counter[int] = Counter()  # by value
    masks_with: Counter[int] = Counter()  # number of masks by value
    for content in contents:
        pixels.update(content.values or {})
        masks_with.update((content.values or {}).keys())
    values = sorted(pixels)
    if len(values) < 2:
        raise InputError(
            f"{masks}: all {len(contents)} inspected masks hold only the value {study_notation(values[0], colours)}, so there is nothing "
            "to learn; expected at least two values. A mask that looks black may hold small numbers, but these masks do not."
        )
    if len(values) > _MOST_CLASSES:
        raise InputError(
            f"{masks}: {len(values)} values in {len(contents)} masks; expected at most {_MOST_CLASSES} classes. If each object has its "
            "own number, replace these numbers by the numbers of the classes."
        )
    ids = [value for value in values if value != _IGNORED_BYTE]
    ignored = not colours and len(ids) >= 2 and ids != values and max(ids) <= HIGHEST_ID
    background = 0 if 0 in values else pixels.most_common(1)[0][0]
    class_values = [background, *(value for value in (ids if ignored else values) if value != background)]
    names = _default_names(class_values, colours)
    if ask is not None:
        total = sum(pixels.values())
        for index, value in enumerate(class_values[1:], start=1):
            frequency = f"in {masks_with[value]} of {len(contents)} masks, {pixels[value] / total:.1%} of pixels"
            names[index] = _ask_name(ask, f"value {study_notation(value, colours)}, {frequency}", names, index)
    keys: list[int | str] = [study_notation(value, True) if colours else value for value in class_values]
    class_of_value = dict(zip(keys, names, strict=True)) | ({_IGNORED_BYTE: IGNORE} if ignored else {})
    values_are_ids = not colours and class_values == list(range(len(class_values))) and not ignored
    shares = {key: pixels[_number(key)] / sum(pixels.values()) for key in class_of_value}
    return Classes(names, class_of_value, values_are_ids, shares, ask is not None)


def is_label(name: str) -> bool:
    """Return whether a study accepts this name of a class or an activity."""
    try:
        _LABEL.validate_python(name)
    except ValidationError:
        return False
    return True


def _default_names(class_values: Sequence[int], colours: bool) -> list[str]:
    if len(class_values) == 2:
        return ["background", "foreground"]
    numbers = [index if colours else value for index, value in enumerate(class_values)]
    return ["background", *(f"class_{number}" for number in numbers[1:])]


def _ask_name(ask: Ask, value: str, names: Sequence[str], index: int) -> str:
    """Ask for the name of a class until the study accepts it."""
    question = f"Name of the class of {value} [{names[index]}]: "
    while reply := ask(question).strip():
        taken = (*names[:index], *names[index + 1 :], IGNORE)
        if reply not in taken and is_label(reply):
            return reply
        fault = "is already used" if reply in taken else f"cannot be used; expected {LABEL_EXPECTED}"
        question = f"{reply!r} {fault}. Name of the class of {value} [{names[index]}]: "
    return names[index]


def _number(key: int | str) -> int:
    """Return the number of a value in the notation of a study."""
    return int(key[1:], 16) if isinstance(key, str) else key
