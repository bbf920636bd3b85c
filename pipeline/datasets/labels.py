"""Class names, palettes and activity lists of every dataset: their one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.datasets.activities import RAREST_FIRST, normalise

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """What a dataset's masks and activities mean. Mask value i is `classes[i]`; 0 is the background."""

    classes: tuple[str, ...]
    palette: tuple[Rgb, ...]
    activities: tuple[str, ...]


def class_of_instrument(labels: LabelSet, instrument: str) -> str | None:
    """The class that an annotation's name of an instrument stands for, None if it is none of the benchmark's."""
    name = _OTHER_NAMES.get(normalise(instrument), normalise(instrument))
    return next((known for known in labels.classes[1:] if normalise(known) == name), None)


def plain_labels(classes: Sequence[str], activities: Sequence[str]) -> LabelSet:
    """The labels of a dataset of one's own, with a palette that repeats after seven colours."""
    colours = [ENDOVIS.palette[1:][index % 7] for index in range(len(classes) - 1)]
    return LabelSet(tuple(classes), ((0, 0, 0), *colours), tuple(activities))


_OTHER_NAMES = {"suction": "suction_instrument"}

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
    palette=(
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ),
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
    palette=(
        (0, 0, 0),
        (240, 228, 66),
        (0, 158, 115),
        (213, 94, 0),
        (86, 180, 233),
        (204, 121, 167),
        (0, 114, 178),
    ),
    activities=("marking", "injection", "dissection"),
)

PARTS = LabelSet(
    classes=("background", "shaft", "wrist", "clasper"),
    palette=((0, 0, 0), (0, 158, 115), (230, 159, 0), (86, 180, 233)),
    activities=(),
)
