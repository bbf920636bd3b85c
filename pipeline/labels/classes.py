"""Define class names, palettes and activities of every dataset. No other module defines them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from endoarss.labels import IGNORED
from pipeline.errors import InputError
from pipeline.labels.activities import RAREST_FIRST, normalise

Rgb = tuple[int, int, int]

# Used instead of a class name in a study's `values`: losses and metrics leave these pixels out.
IGNORE = "ignore"
_HIGHEST_VALUE = 255


@dataclass(frozen=True)
class StoredValues:
    """The meaning of the values in the masks of your own frames.

    Attributes:
        meanings: class id or `IGNORED`, by value. A value is a whole number, or a colour as 0xRRGGBB.
        colours: whether the values are colours.
    """

    meanings: Mapping[int, int]
    colours: bool = False

    def notation(self, value: int) -> str:
        """Return a value as a study writes it."""
        return f'"#{value:06x}"' if self.colours else str(value)


@dataclass(frozen=True)
class LabelSet:
    """Classes and activities of a dataset. Mask value i is `classes[i]`, 0 is the background, and `IGNORED` is for pixels without a class.

    Attributes:
        classes: class names, the background first.
        palette: colour of each class.
        activities: names of the activities, empty if the dataset has none.
        stored: meaning of the values in the raw masks, only for your own frames.
    """

    classes: tuple[str, ...]
    palette: tuple[Rgb, ...]
    activities: tuple[str, ...]
    stored: StoredValues | None = None


def class_of_instrument(labels: LabelSet, instrument: str) -> str | None:
    """Return the class of an instrument that an annotation names, or None if the benchmark has no such class."""
    name = _OTHER_NAMES.get(normalise(instrument), normalise(instrument))
    return next((known for known in labels.classes[1:] if normalise(known) == name), None)


def plain_labels(classes: Sequence[str], activities: Sequence[str]) -> LabelSet:
    """Return the labels of your own frames, with a palette that repeats after seven colours."""
    colours = [ENDOVIS.palette[1:][index % 7] for index in range(len(classes) - 1)]
    return LabelSet(tuple(classes), ((0, 0, 0), *colours), tuple(activities))


def stored_values(
    key: str, classes: Sequence[str], values: Mapping[str, str] | None, ignore: int | str | Sequence[int | str] | None
) -> StoredValues:
    """Return the meaning of mask values that a study states.

    Args:
        key: key in the study under which the values stand, e.g. datasets.mine.plain.
        classes: class names, the background first.
        values: class or `IGNORE` by value; None if each value is the index of its class.
        ignore: one or several further values that are ignored.

    Raises:
        InputError: if a value is neither a number from 0 to 255 nor a colour, if numbers and colours are mixed, if a value has two
            meanings, or if a class is not listed; the message names the key.
    """
    stated: list[tuple[str, str, int]] = []  # key, value, meaning
    for value, name in (values or {}).items():
        if name not in (*classes, IGNORE):
            raise InputError(f"{key}.values: {value}: {name!r}; expected {IGNORE}, or one of {', '.join(classes)}.")
        if name == IGNORE and IGNORE in classes:
            raise InputError(
                f"{key}.classes: {IGNORE!r} marks pixels that are left out, so it cannot be a class; give the class another name."
            )
        stated.append((f"{key}.values", value, IGNORED if name == IGNORE else list(classes).index(name)))
    if values is None:
        stated += [(f"{key}.classes", str(index), index) for index in range(len(classes))]
    ignored = [ignore] if isinstance(ignore, (int, str)) else ignore or []
    stated += [(f"{key}.ignore", str(value), IGNORED) for value in ignored]
    meanings: dict[int, int] = {}
    # The key that has colours (True), and the key that has numbers (False).
    key_of_kind = {value.startswith("#"): where for where, value, _ in stated}
    if len(key_of_kind) > 1:
        raise InputError(
            f"{key}: {key_of_kind[True]} has colours and {key_of_kind[False]} has numbers; expected only one kind. Masks in colours need "
            "`values` for all of their classes."
        )
    for where, value, meaning in stated:
        number = _parse_value(where, value)
        if meanings.setdefault(number, meaning) != meaning:
            raise InputError(f"{where}: the value {value} has two meanings; expected one.")
    return StoredValues(meanings, True in key_of_kind)


def _parse_value(where: str, text: str) -> int:
    """Return the number of a value in a study, which is 0 to 255 or a colour as "#rrggbb"."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > _HIGHEST_VALUE:
        raise InputError(
            f'{where}: the value {text[:40]!r}; expected a whole number from 0 to {_HIGHEST_VALUE}, or a colour in quotes, like "#ff0000".'
        )
    return int(text)


_OTHER_NAMES = {"suction": "suction_instrument"}
# The colours of Okabe and Ito, which people with any kind of colour vision can distinguish.
_BLACK, _ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _RED, _PURPLE = (
    *((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115)),
    *((240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
)

# Mask values are the native ids of the EndoVis 2018 instrument types.
ENDOVIS = LabelSet(
    classes=(
        "background",
        "Bipolar Forceps",
        "Prograsp Forceps",
        "Large Needle Driver",
        "Monopolar Curved Scissors",
        "Ultrasound Probe",
        "Suction Instrument",
        "Clip Applier",
    ),
    palette=(_BLACK, _ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _RED, _PURPLE),
    activities=tuple(reversed(RAREST_FIRST)),
)

ESD = LabelSet(
    classes=(
        "background",
        "Marking Area",
        "Electric Knife",
        "Incision Area",
        "Mucosal Flap",
        "FPCW Forceps",
        "FPCW Knife",
    ),
    palette=(_BLACK, _YELLOW, _GREEN, _RED, _SKY, _PURPLE, _BLUE),
    activities=("marking", "injection", "dissection"),
)

PARTS = LabelSet(
    classes=("background", "shaft", "wrist", "clasper"), palette=(_BLACK, _GREEN, _ORANGE, _SKY), activities=()
)
