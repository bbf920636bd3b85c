"""What a split must leave so that models can be trained and tested: looked at before anything is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.datasets.sample import Sample
from pipeline.datasets.splits import VALIDATION_SHARE, validation_frames
from pipeline.errors import InputError
from pipeline.labels.splits import BY_SEQUENCE, GIVEN, RANDOM_BY_ACTIVITY, TEST, TRAIN

_LEAST_TRAINING = 2  # batch normalisation needs two images
_HOW_TO_FILL = {
    GIVEN: "The frames came so: give some to the other part, or choose another split rule",
    RANDOM_BY_ACTIVITY: f"It takes a fifth of each activity's frames, rounded down: give at least {VALIDATION_SHARE} frames of one, "
    "or choose split: by_sequence",
    BY_SEQUENCE: "Name other sequences or frames as test",
}


def check_split(
    dataset: str,
    samples: Sequence[Sample],
    split: Mapping[str, str],
    rule: str,
    trained: bool = True,
    validated: bool = False,
) -> None:
    """See that a split leaves frames to test on, and to train and choose on where models are.

    Args:
        dataset: its name.
        samples: its frames.
        split: the part of each frame id, and of others.
        rule: what split them, as the study names it.
        trained: whether models are trained on the dataset.
        validated: whether the epoch of some is chosen on validation frames.

    Raises:
        InputError: if a part has too few frames, with the counts.
    """
    training = [sample for sample in samples if split[sample.frame_id] == TRAIN]
    empty = TEST if len(training) == len(samples) else TRAIN if trained and not training else ""
    if empty:
        raise InputError(
            f"the split {rule} leaves the {empty} split of {len(samples)} frames empty ({_counts(samples)}). {_HOW_TO_FILL[rule]} "
            f"(datasets.{dataset} in the study)."
        )
    if trained and len(training) < _LEAST_TRAINING:
        raise InputError(
            f"the split {rule} leaves {len(training)} of {len(samples)} frames to train on; expected at least {_LEAST_TRAINING}. "
            f"{_HOW_TO_FILL[rule]} (datasets.{dataset} in the study)."
        )
    if trained and validated:
        chosen = validation_frames(training, split)
        if not chosen or len(training) - len(chosen) < _LEAST_TRAINING:
            raise InputError(
                f"{len(chosen)} of {len(training)} training frames are for validation ({_counts(training)}); select_on: val asks for "
                f"some to choose on and at least {_LEAST_TRAINING} to train on. Give more frames, or use select_on: last."
            )


def lacking_activities(
    samples: Sequence[Sample], split: Mapping[str, str], rule: str, trained: bool = True
) -> list[str]:
    """Say which activities a split leaves without frames to test on, or to train on, with their counts.

    Args:
        samples, split, rule, trained: as `check_split` takes them.

    Returns:
        No, one or two sentences.
    """
    counts = Counter((sample.activity, split[sample.frame_id]) for sample in samples if sample.activity)
    names = dict.fromkeys(activity for activity, _ in counts)
    said = []
    untested = [f"{name} ({counts[name, TRAIN]} frames)" for name in names if not counts[name, TEST]]
    if untested:
        fifth = f", which draws a fifth of each activity's frames: expected at least {VALIDATION_SHARE} of each"
        said.append(
            f"no test frame of {', '.join(untested)} under split: {rule}{fifth if rule == RANDOM_BY_ACTIVITY else ''}. No score is of them."
        )
    unlearnt = [f"{name} ({counts[name, TEST]} frames)" for name in names if not counts[name, TRAIN]]
    if unlearnt and trained:
        said.append(f"no training frame of {', '.join(unlearnt)} under split: {rule}. No model can learn them.")
    return said


def _counts(samples: Sequence[Sample]) -> str:
    counts = Counter(sample.activity for sample in samples)
    if set(counts) <= {""}:
        return f"{len(samples)} frames without activities"
    return ", ".join(f"{activity} {count}" for activity, count in counts.most_common())
