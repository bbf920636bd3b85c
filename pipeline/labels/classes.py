"""Class names, palettes and activity lists of every dataset: their one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from endoarss.labels import IGNORED
from pipeline.errors import InputError
from pipeline.labels.activities import RAREST_FIRST, normalise

Rgb = tuple[int, int, int]

# In a study's `values`, what stands in place of a class: losses and metrics leave these pixels out.
IGNORE = "ignore"
_HIGHEST = 255


@dataclass(frozen=True)
class StoredValues:
    """What the values in the masks of a dataset of one's own stand for.

    meanings: the class id, or `IGNORED`, of each value: a whole number, or a colour as 0xRRGGBB. colours: whether they are colours.
    """

    meanings: Mapping[int, int]
    colours: bool = False

    def written(self, value: int) -> str:
        """Return a value as a study writes it."""
        return f'"#{value:06x}"' if self.colours else str(value)


@dataclass(frozen=True)
class LabelSet:
    """What a dataset's masks and activities mean. Mask value i is `classes[i]`; 0 is the background; `IGNORED` is no class.

    stored: what the values in the raw masks stand for, of a dataset of one's own.
    """

    classes: tuple[str, ...]
    palette: tuple[Rgb, ...]
    activities: tuple[str, ...]
    stored: StoredValues | None = None


def class_of_instrument(labels: LabelSet, instrument: str) -> str | None:
    """The class that an annotation's name of an instrument stands for, None if it is none of the benchmark's."""
    name = _OTHER_NAMES.get(normalise(instrument), normalise(instrument))
    return next((known for known in labels.classes[1:] if normalise(known) == name), None)


def plain_labels(classes: Sequence[str], activities: Sequence[str]) -> LabelSet:
    """The labels of a dataset of one's own, with a palette that repeats after seven colours."""
    colours = [ENDOVIS.palette[1:][index % 7] for index in range(len(classes) - 1)]
    return LabelSet(tuple(classes), ((0, 0, 0), *colours), tuple(activities))


def stored_values(
    key: str, classes: Sequence[str], values: Mapping[str, str] | None, ignore: int | str | Sequence[int | str] | None
) -> StoredValues:
    """Read what a study says of the values in its masks.

    Args:
        key: where the study says it, e.g. datasets.mine.plain.
        classes: names, the background first.
        values: the class, or `IGNORE`, by value; None if each value is the place of its class.
        ignore: further values that are ignored, one or several.

    Raises:
        InputError: naming the key, if a value is neither a number from 0 to 255 nor a colour, if there are both, if one stands for two
            things, or a class is not listed.
    """
    said: list[tuple[str, str, int]] = []  # the key, the value, what it stands for
    for value, name in (values or {}).items():
        if name not in (*classes, IGNORE):
            raise InputError(f"{key}.values: {value}: {name!r}; expected {IGNORE}, or one of {', '.join(classes)}.")
        if name == IGNORE and IGNORE in classes:
            raise InputError(
                f"{key}.classes: {IGNORE!r} is the word for pixels that count nowhere; name the class otherwise."
            )
        said.append((f"{key}.values", value, IGNORED if name == IGNORE else list(classes).index(name)))
    if values is None:
        said += [(f"{key}.classes", str(place), place) for place in range(len(classes))]
    ignored = [ignore] if isinstance(ignore, (int, str)) else ignore or []
    said += [(f"{key}.ignore", str(value), IGNORED) for value in ignored]
    meanings: dict[int, int] = {}
    kinds = {value.startswith("#"): where for where, value, _ in said}
    if len(kinds) > 1:
        raise InputError(
            f"{key}: {kinds[True]} has colours and {kinds[False]} has numbers; expected values of one kind. Masks in colours need "
            "`values` for all of their classes."
        )
    for where, value, meaning in said:
        number = _value(where, value)
        if meanings.setdefault(number, meaning) != meaning:
            raise InputError(f"{where}: the value {value} stands for two things; expected one.")
    return StoredValues(meanings, True in kinds)


def _value(where: str, text: str) -> int:
    """The number that a study writes: 0 to 255, or a colour as "#rrggbb"."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > _HIGHEST:
        raise InputError(
            f'{where}: the value {text[:40]!r}; expected a whole number from 0 to {_HIGHEST}, or a colour in quotes, like "#ff0000".'
        )
    return int(text)


_OTHER_NAMES = {"suction": "suction_instrument"}
# The colours of Okabe and Ito, which people with any kind of colour vision tell apart.
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
