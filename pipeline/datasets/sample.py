"""The types that collectors take and return: the request, the samples (one per frame) and the frames that are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.io.images import Pixels
from pipeline.labels.classes import LabelSet


@dataclass(frozen=True)
class Sample:
    """A frame of a dataset.

    Attributes:
        frame_id: canonical id, unique over all sources; the random split depends on it.
        source: name of the raw tree.
        sequence: name of the video; "" if it is unknown.
        read: returns the image (H, W, 3) and the mask of class ids (H, W), uint8. It runs in other processes, so it must be a
            module-level function or a partial of one.
        files: every raw file that `read` reads.
        image_file: file of the image if the dataset uses the image unchanged (not cropped).
        activity: the activity; "" in a dataset without activities.
        actions: all actions that the annotation names.
        instruments: all instruments that the annotation names.
        given_split: train or test if the raw tree, labels.csv or the collector states the split, otherwise "".
        flags: keys of `manifest.FLAGS` that apply to the frame.
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


# Values of `LeftOut.what`.
UNUSED, ABSENT, BAD = "unused", "absent", "bad"


@dataclass(frozen=True)
class LeftOut:
    """Frames that a dataset does not include.

    Attributes:
        reason: why they are left out.
        frames: frame ids.
        what: UNUSED for frames that do not belong to the dataset, ABSENT for frames whose image or mask is missing in the raw trees,
            BAD for frames that cannot be used.
    """

    reason: str
    frames: tuple[str, ...]
    what: str = UNUSED


@dataclass(frozen=True)
class Collected:
    """The frames of a dataset, notes for its card on how they were read, and the frames that are left out."""

    samples: list[Sample]
    notes: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True)
class CollectRequest:
    """The input of a collector.

    Attributes:
        name: name of the dataset.
        labels: classes and activities of the dataset.
        roots: raw trees by source.
        scheme: id scheme of the EndoVis 2018 types, or "detect".
        skip_bad: leave out unusable frames instead of stopping.
        columns: for your own frames: the labels CSV's name of each column, by this project's name of the column.
    """

    name: str
    labels: LabelSet
    roots: Mapping[str, Path]
    scheme: str = "detect"
    skip_bad: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
