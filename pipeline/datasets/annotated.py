"""Joins the pictures of a challenge with the VQLA annotations of them: both MTLEndovis datasets are made so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.sample import ABSENT, BAD, UNUSED, Collected, LeftOut, Order, Sample
from pipeline.errors import InputError
from pipeline.labels.activities import frame_activity
from pipeline.sources.vqla import read_agreeing

Key = tuple[int, int]


def join_annotations(
    order: Order,
    pictures: Set[Key],
    texts: Mapping[Key, tuple[Path, ...]],
    frame_id: Callable[[Key], str],
    sample: Callable[[Key], Sample],
    notes: dict[str, str],
) -> Collected:
    """The frames that have both a picture and an annotation; the others are listed with the reason.

    Args:
        order: what is asked for. pictures: the frames there are pictures of. texts: annotation files by frame.
        frame_id: the canonical id of a frame. sample: makes a frame's sample, less what its annotation says; raises
            InputError where the frame lacks a file.
        notes: for the dataset's card.

    Raises:
        InputError: if no frame has both, or an annotation cannot be used and `order.skip_bad` is not set.
    """
    samples, silent, bad = [], [], []
    for key in sorted(pictures & set(texts)):
        try:
            states = read_agreeing(texts[key])
            if not states:
                silent.append(frame_id(key))
                continue
            actions, instruments = zip(*((state.action, state.instrument) for state in states), strict=True)
            activity = frame_activity(actions)
            samples.append(replace(sample(key), activity=activity, actions=actions, instruments=instruments))
        except InputError as error:
            if not order.skip_bad:
                raise
            bad.append(LeftOut(str(error), (frame_id(key),), BAD))
    if not samples:
        roots = [str(root) for root in order.roots.values()]
        if bad:
            raise InputError(f"{roots[0]}: none of {len(bad)} annotated frames can be used. The first: {bad[0].reason}")
        raise InputError(
            f"{roots[1]}: {len(texts)} annotated frames, none of which has a picture in {roots[0]}. Expected frames and "
            "annotations of the same sequences."
        )
    groups = (
        ("no annotation: the frame is no part of the dataset", sorted(pictures - set(texts)), UNUSED),
        ("annotated, but there is no picture of it", sorted(set(texts) - pictures), ABSENT),
    )
    left_out = [LeftOut(reason, tuple(map(frame_id, keys)), what) for reason, keys, what in groups if keys]
    if silent:
        left_out.append(LeftOut("the annotation names no instrument's state", tuple(silent)))
    return Collected(samples, notes, [*left_out, *bad])
