"""One frame on its way from a raw tree into a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.images import Pixels


@dataclass(frozen=True)
class Sample:
    """A frame that a dataset takes in.

    frame_id: canonical, unique over all sources (it decides the split). source: name of the raw tree. sequence: the video.
    activity: "" in a dataset without activities. actions: all that the annotations name. read: gives picture (H, W, 3) and
    mask of class ids (H, W), uint8.
    released_split: the part a released tree put it in, "" otherwise.
    """

    frame_id: str
    source: str
    sequence: str
    read: Callable[[], tuple[Pixels, Pixels]]
    activity: str = ""
    actions: tuple[str, ...] = field(default=())
    released_split: str = ""


@dataclass(frozen=True)
class Collected:
    """The frames of a dataset, and what its card should say of how they were read."""

    samples: list[Sample]
    notes: dict[str, str] = field(default_factory=dict)
