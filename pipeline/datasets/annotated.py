"""Joins the images of a challenge with their VQLA annotations, for the datasets MTLEndovis and MTLEndovis-Gen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.sample import ABSENT, BAD, UNUSED, Collected, CollectRequest, LeftOut, Sample
from pipeline.errors import InputError
from pipeline.labels.activities import frame_activity
from pipeline.sources.vqla import read_agreeing

Key = tuple[int, int]  # sequence and frame number


def join_annotations(
    request: CollectRequest,
    pictures: Set[Key],
    annotation_files: Mapping[Key, tuple[Path, ...]],
    frame_id: Callable[[Key], str],
    sample: Callable[[Key], Sample],
    notes: dict[str, str],
) -> Collected:
    """Collect the frames that have both an image and an annotation, and list the other frames with the reason.

    Args:
        request: which dataset is collected, and from where.
        pictures: the frames that have an image.
        annotation_files: annotation files by frame.
        frame_id: returns the canonical id of a frame.
        sample: returns the sample of a frame without activity, actions and instruments; raises InputError if the frame cannot be used.
        notes: notes for the dataset's card.

    Raises:
        InputError: if no frame has both an image and a usable annotation; or, unless `request.skip_bad` is set, if `sample` raises it
            or an annotation cannot be used.
    """
    samples, without_state, bad = [], [], []
    for key in sorted(pictures & set(annotation_files)):
        try:
            states = read_agreeing(annotation_files[key])
            if not states:
                without_state.append(frame_id(key))
                continue
            actions, instruments = zip(*((state.action, state.instrument) for state in states), strict=True)
            activity = frame_activity(actions)
            samples.append(replace(sample(key), activity=activity, actions=actions, instruments=instruments))
        except InputError as error:
            if not request.skip_bad:
                raise
            bad.append(LeftOut(str(error), (frame_id(key),), BAD))
    if not samples:
        roots = [str(root) for root in request.roots.values()]
        if bad:
            raise InputError(f"{roots[0]}: none of {len(bad)} annotated frames can be used. The first: {bad[0].reason}")
        if without_state:
            raise InputError(
                f"{roots[1]}: none of the {len(without_state)} annotations of frames with an image names the state of an instrument."
            )
        raise InputError(
            f"{roots[1]}: none of the {len(annotation_files)} annotated frames has an image in {roots[0]}. Expected images and "
            "annotations of the same sequences."
        )
    groups = (
        ("no annotation: the frame does not belong to the dataset", sorted(pictures - set(annotation_files)), UNUSED),
        ("the frame is annotated, but has no image", sorted(set(annotation_files) - pictures), ABSENT),
    )
    left_out = [LeftOut(reason, tuple(map(frame_id, keys)), what) for reason, keys, what in groups if keys]
    if without_state:
        left_out.append(LeftOut("the annotation names no state of an instrument", tuple(without_state)))
    return Collected(samples, notes, [*left_out, *bad])
