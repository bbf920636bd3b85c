"""Collects MTLEndovis-Gen: the EndoVis 2017 frames that EndoVis-17-VQLA annotates. Models are only evaluated on this dataset."""

from __future__ import annotations

from functools import partial

import numpy as np

from pipeline.datasets.annotated import join_annotations
from pipeline.datasets.sample import Collected, CollectRequest, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.labels.splits import TEST
from pipeline.sources import endovis2017, vqla

# Class id in `classes.ENDOVIS` by type id of EndoVis 2017. Type 7, "other", is the ultrasound probe only in sequences 1 and 2.
_CLASS_OF_TYPE = {0: 0, 1: 1, 2: 2, 3: 3, 6: 4, 7: 5}
_SEQUENCES_WITH_PROBE = (1, 2)


def collect(request: CollectRequest) -> Collected:
    """Collect the frames of MTLEndovis-Gen, all in the test split, from the raw trees `endovis2017` and `vqla2017`.

    Raises:
        InputError: if a tree is absent or has another layout, or if `join_annotations` raises it.
    """
    tree = endovis2017.read_tree(request.roots["endovis2017"])
    annotation_files = vqla.find_2017(request.roots["vqla2017"])
    frames = {
        (int(name.removeprefix("instrument_dataset_")), number): frame
        for (name, number), frame in tree.frames.items()
        if name.removeprefix("instrument_dataset_").isdecimal()
    }

    def sample(key: tuple[int, int]) -> Sample:
        frame = frames[key]
        endovis2017.check_typed(frame)
        return Sample(
            frame_id=frame_id(key),
            source="endovis2017",
            sequence=f"seq_{key[0]}",
            read=partial(_read, frame, key[0]),
            files=(frame.image, *frame.type_files, *annotation_files[key]),
            given_split=TEST,
        )

    return join_annotations(request, set(frames), annotation_files, frame_id, sample, dict(tree.notes))


def frame_id(key: tuple[int, int]) -> str:
    """Return the canonical id of a frame given by (sequence, number)."""
    return f"endovis2017_seq{key[0]}_frame{key[1]:03d}"


def _read(frame: endovis2017.Frame2017, sequence: int) -> tuple[Pixels, Pixels]:
    image, types = read_rgb(frame.image), endovis2017.type_mask(frame)
    check_same_size(image, types, frame.image, frame.type_files[0])
    return endovis2017.crop(image), endovis2017.crop(_classes(frame, sequence, types))


def _classes(frame: endovis2017.Frame2017, sequence: int, types: Pixels) -> Pixels:
    classes = np.zeros(256, np.uint8)
    for type_id in np.flatnonzero(np.bincount(types.ravel())).tolist():
        if type_id not in _CLASS_OF_TYPE:
            raise InputError(
                f"{frame.by_instrument.get(type_id, frame.type_files)[0]}: the ground truth holds the type id {type_id}; "
                "expected 1, 2, 3, 6 and 7 in annotated frames. Download the challenge's own file again."
            )
        if type_id == 7 and sequence not in _SEQUENCES_WITH_PROBE:
            continue  # in this sequence "other" is not a class of the benchmark
        classes[type_id] = _CLASS_OF_TYPE[type_id]
    return classes[types]
