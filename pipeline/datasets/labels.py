"""Class names, palettes and activity lists of every dataset: their one place."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.datasets.activities import RAREST_FIRST

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """What a dataset's masks and activities mean. Mask value i is `classes[i]`; 0 is the background."""

    classes: tuple[str, ...]
    palette: tuple[Rgb, ...]
    activities: tuple[str, ...]


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
