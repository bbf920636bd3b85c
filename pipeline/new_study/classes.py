"""Proposes what the values of masks stand for: a background, classes, pixels that are ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import InputError
from pipeline.labels.classes import IGNORE
from pipeline.new_study.masks import HIGHEST_ID, Look, written
from pipeline.study.models import LABEL_EXPECTED, Label

Ask = Callable[[str], str]
"""Asks a person one question and returns the answer."""

_IGNORED_BYTE = 255
_MOST_CLASSES = 64
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True)
class Classes:
    """What a study says of its masks.

    names: of classes, the background first. values: the class, or `IGNORE`, by value as a study writes it. plain: whether each value is
    the place of its class, so that the study need not say it. shares: of all pixels, by value. named: whether a person named the classes.
    """

    names: list[str]
    values: dict[int | str, str]
    plain: bool
    shares: dict[int | str, float]
    named: bool

    @property
    def ignored(self) -> bool:
        """Whether a value is taken for pixels of no class."""
        return IGNORE in self.values.values()


def propose_classes(looks: Sequence[Look], masks: Path, ask: Ask | None) -> Classes:
    """Propose classes from the values in usable masks.

    Zero or black is the background, where it occurs, else the most frequent value. The number 255 beside small ids is ignored.

    Args:
        looks: without errors. masks: the folder, for messages. ask: asks for names; None leaves class_1, class_2, ...

    Raises:
        InputError: if all masks hold one value, or more values than a person names.
    """
    colours = looks[0].colours
    pixels: Counter[int] = Counter()
    frames: Counter[int] = Counter()
    for look in looks:
        pixels.update(look.values or {})
        frames.update((look.values or {}).keys())
    values = sorted(pixels)
    if len(values) < 2:
        raise InputError(
            f"{masks}: all {len(looks)} masks that were looked at hold {written(values[0], colours)} alone, so there is nothing to learn; "
            "expected two values or more. A mask that looks black may hold small numbers; these do not."
        )
    if len(values) > _MOST_CLASSES:
        raise InputError(
            f"{masks}: {len(values)} values in {len(looks)} masks; expected at most {_MOST_CLASSES} classes. Masks of single objects, "
            "each with a number of its own, must get the numbers of classes first."
        )
    ids = [value for value in values if value != _IGNORED_BYTE]
    ignored = not colours and len(ids) >= 2 and ids != values and max(ids) <= HIGHEST_ID
    background = 0 if 0 in values else pixels.most_common(1)[0][0]
    meant = [background, *(value for value in (ids if ignored else values) if value != background)]
    names = _default_names(meant, colours)
    if ask is not None:
        total = sum(pixels.values())
        for place in range(1, len(names)):
            seen = f"in {frames[meant[place]]} of {len(looks)} masks, {pixels[meant[place]] / total:.1%} of pixels"
            names[place] = _ask_name(ask, f"value {written(meant[place], colours)}, {seen}", names, place)
    keys: list[int | str] = [written(value, True) if colours else value for value in meant]
    said = dict(zip(keys, names, strict=True)) | ({_IGNORED_BYTE: IGNORE} if ignored else {})
    in_place = not colours and meant == list(range(len(meant))) and not ignored
    shares = {key: pixels[_number(key)] / sum(pixels.values()) for key in said}
    return Classes(names, said, in_place, shares, ask is not None)


def is_label(name: str) -> bool:
    """Return whether a study takes a name of a class or of an activity."""
    try:
        _LABEL.validate_python(name)
    except ValidationError:
        return False
    return True


def _default_names(meant: Sequence[int], colours: bool) -> list[str]:
    if len(meant) == 2:
        return ["background", "foreground"]
    return ["background", *(f"class_{place if colours else value}" for place, value in enumerate(meant) if place)]


def _ask_name(ask: Ask, what: str, names: Sequence[str], place: int) -> str:
    """Ask for the name of a class until it is one that a study takes."""
    question = f"Name of the class of {what} [{names[place]}]: "
    while answer := ask(question).strip():
        taken = (*names[:place], *names[place + 1 :], IGNORE)
        if answer not in taken and is_label(answer):
            return answer
        why = "is taken" if answer in taken else f"cannot be used; expected {LABEL_EXPECTED}"
        question = f"{answer!r} {why}. Name of the class of {what} [{names[place]}]: "
    return names[place]


def _number(key: int | str) -> int:
    return int(key[1:], 16) if isinstance(key, str) else key
