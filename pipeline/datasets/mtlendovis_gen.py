"""MTLEndovis-Gen: the EndoVis 2017 frames that EndoVis-17-VQLA annotates. For evaluation only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.datasets.activities import frame_activity
from pipeline.datasets.sample import Collected, Sample
from pipeline.errors import InputError
from pipeline.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2017, vqla

# Type ids of 2017 -> classes of `labels.ENDOVIS`. "Other" (7) is the ultrasound probe, in sequences 1 and 2 alone.
_CLASS_OF_TYPE = {0: 0, 1: 1, 2: 2, 3: 3, 6: 4, 7: 5}
_SEQUENCES_WITH_PROBE = (1, 2)


def collect(endovis2017_root: Path, vqla2017_root: Path) -> Collected:
    """The frames of MTLEndovis-Gen, all in the test part.

    Args:
        endovis2017_root: training and test part of EndoVis 2017.
        vqla2017_root: the texts of EndoVis-17-VQLA.

    Raises:
        InputError: if a tree is absent or not in its layout, or no annotated frame has a picture.
    """
    frames = endovis2017.read_tree(endovis2017_root)
    texts = vqla.find_2017(vqla2017_root)
    samples = []
    for (sequence, number), text in sorted(texts.items()):
        frame = frames.get((f"instrument_dataset_{sequence}", number))
        states = vqla.read_states(text)
        if frame is not None and states:
            samples.append(_sample(frame, sequence, states))
    if not samples:
        raise InputError(
            f"{vqla2017_root}: {len(texts)} annotated frames, none of which has a picture in {endovis2017_root}."
        )
    return Collected(samples)


def _sample(frame: endovis2017.Frame2017, sequence: int, states: tuple[vqla.State, ...]) -> Sample:
    def read() -> tuple[Pixels, Pixels]:
        image, types = read_rgb(frame.image), endovis2017.type_mask(frame)
        check_same_size(image, types, frame.image, frame.types or next(iter(frame.by_instrument.values()))[0])
        return endovis2017.crop(image), endovis2017.crop(_classes(frame, sequence, types))

    actions = tuple(state.action for state in states)
    return Sample(
        frame_id=f"endovis2017_seq{sequence}_frame{frame.number:03d}",
        source="endovis2017",
        sequence=f"seq_{sequence}",
        read=read,
        activity=frame_activity(actions),
        actions=actions,
        released_split="test",
    )


def _classes(frame: endovis2017.Frame2017, sequence: int, types: Pixels) -> Pixels:
    classes = np.zeros(256, np.uint8)
    for type_id in np.unique(types).tolist():
        if type_id not in _CLASS_OF_TYPE:
            raise InputError(
                f"{frame.image}: type id {type_id} in its ground truth; the annotated frames hold 1, 2, 3, 6 and 7 alone."
            )
        if type_id == 7 and sequence not in _SEQUENCES_WITH_PROBE:
            continue  # there "other" is no class of the benchmark
        classes[type_id] = _CLASS_OF_TYPE[type_id]
    return classes[types]
