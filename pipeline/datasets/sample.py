"""One frame on its way from a raw tree into a dataset, and what a collector hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.io.images import Pixels
from pipeline.labels.classes import LabelSet


@dataclass(frozen=True)
class Sample:
    """A frame that a dataset takes in.

    frame_id: canonical, unique over all sources (it decides the split). source: name of the raw tree. sequence: the video.
    read: gives picture (H, W, 3) and mask of class ids (H, W), uint8; it is called in other processes, so a function of a
    module or a partial of one. files: every raw file that `read` reads.
    image_file: the picture's file where the dataset takes the picture as it is, uncropped.
    activity: "" in a dataset without activities. actions, instruments: all that the annotations name.
    given_split: the part a released tree put it in, "" otherwise. flags: what a user should know of it.
    """

    frame_id: str
    source: str
    sequence: str
    read: Callable[[], tuple[Pixels, Pixels]]
    files: tuple[Path, ...]
    image_file: Path | None = None
    activity: str = ""
    actions: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    given_split: str = ""
    flags: tuple[str, ...] = ()


UNUSED, ABSENT, BAD = "unused", "absent", "bad"


@dataclass(frozen=True)
class LeftOut:
    """Frames that a dataset does not take in, and why.

    what: UNUSED frames belong to no dataset, ABSENT ones are missing from the raw trees, BAD ones are there and cannot be used.
    """

    reason: str
    frames: tuple[str, ...]
    what: str = UNUSED


@dataclass(frozen=True)
class Collected:
    """The frames of a dataset, what its card should say of how they were read, and what was left out."""

    samples: list[Sample]
    notes: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """What a collector is asked for.

    name: of the dataset. labels: its classes and activities. roots: raw trees by source.
    scheme: id scheme of the EndoVis 2018 types. skip_bad: leave frames with unusable annotations out instead of stopping.
    columns: what the labels CSV of own frames calls its columns.
    """

    name: str
    labels: LabelSet
    roots: Mapping[str, Path]
    scheme: str = "detect"
    skip_bad: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
