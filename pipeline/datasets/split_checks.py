"""Checks, before anything is built, that a split leaves enough frames to train, validate and test models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.datasets.sample import Sample
from pipeline.datasets.splits import VALIDATION_SHARE, validation_frames
from pipeline.errors import InputError
from pipeline.labels.splits import BY_SEQUENCE, GIVEN, RANDOM_BY_ACTIVITY, TEST, TRAIN

_FEWEST_TRAINING_FRAMES = 2  # batch normalisation needs two images
_REMEDY = {
    GIVEN: "This split came with the frames: move some frames to the other split, or choose another split rule",
    RANDOM_BY_ACTIVITY: f"This rule takes a fifth of each activity's frames, rounded down: give at least {VALIDATION_SHARE} frames of one "
    "activity, or choose split: by_sequence",
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
    """Raise an error if a split leaves too few frames to train, to validate or to test the models of the study.

    Args:
        dataset: name of the dataset.
        samples: frames of the dataset.
        split: train or test by frame id, also for frames that are not in `samples`.
        rule: the split rule, as the study names it.
        trained: whether models are trained on the dataset.
        validated: whether a model's epoch is chosen on validation frames.

    Raises:
        InputError: if a split has too few frames; the message names the counts.
    """
    training = [sample for sample in samples if split[sample.frame_id] == TRAIN]
    empty = TEST if len(training) == len(samples) else TRAIN if trained and not training else ""
    if empty:
        raise InputError(
            f"the split rule {rule} puts none of {len(samples)} frames into the {empty} split ({_counts(samples)}). {_REMEDY[rule]} "
            f"(datasets.{dataset} in the study)."
        )
    if trained and len(training) < _FEWEST_TRAINING_FRAMES:
        raise InputError(
            f"the split rule {rule} leaves {len(training)} of {len(samples)} frames to train on; expected at least "
            f"{_FEWEST_TRAINING_FRAMES}. {_REMEDY[rule]} (datasets.{dataset} in the study)."
        )
    if trained and validated:
        validation = validation_frames(training, split)
        if not validation or len(training) - len(validation) < _FEWEST_TRAINING_FRAMES:
            raise InputError(
                f"{len(validation)} of {len(training)} training frames are for validation ({_counts(training)}); select_on: val needs "
                f"at least one for validation and {_FEWEST_TRAINING_FRAMES} for training. Give more frames, or use select_on: last."
            )


def activity_warnings(
    samples: Sequence[Sample], split: Mapping[str, str], rule: str, trained: bool = True
) -> list[str]:
    """Return warnings about activities without test frames or without training frames, with their counts.

    The arguments are those of `check_split`.
    """
    counts = Counter((sample.activity, split[sample.frame_id]) for sample in samples if sample.activity)
    names = dict.fromkeys(activity for activity, _ in counts)
    warnings = []
    untested = [f"{name} ({counts[name, TRAIN]} frames)" for name in names if not counts[name, TEST]]
    if untested:
        draws = (
            f"The rule draws a fifth of each activity's frames: expected at least {VALIDATION_SHARE} of each activity. "
        )
        warnings.append(
            f"split: {rule} gives no test frame to {', '.join(untested)}. {draws if rule == RANDOM_BY_ACTIVITY else ''}"
            "No score includes these activities."
        )
    unlearnt = [f"{name} ({counts[name, TEST]} frames)" for name in names if not counts[name, TRAIN]]
    if unlearnt and trained:
        warnings.append(
            f"split: {rule} gives no training frame to {', '.join(unlearnt)}. No model can learn these activities."
        )
    return warnings


def _counts(samples: Sequence[Sample]) -> str:
    """Return the number of frames of each activity as a text."""
    counts = Counter(sample.activity for sample in samples)
    if set(counts) <= {""}:
        return f"{len(samples)} frames without activities"
    return ", ".join(f"{activity} {count}" for activity, count in counts.most_common())
