"""Collects EndoVis 2017 parts: officially cropped frames with masks of shaft, wrist and clasper. The dataset has no activities."""

from __future__ import annotations

from functools import partial

import numpy as np

from pipeline.datasets.sample import Collected, CollectRequest, LeftOut, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2017


def collect(request: CollectRequest) -> Collected:
    """Collect all frames with parts ground truth in the raw tree `endovis2017`.

    Raises:
        InputError: if the tree is absent, has another layout, or has no parts ground truth.
    """
    root = request.roots["endovis2017"]
    tree = endovis2017.read_tree(root)
    frames = tree.frames.values()
    samples = [_sample(frame) for frame in frames if frame.part_files]
    if not samples:
        raise InputError(
            f"{root}: none of the {len(frames)} frames has parts ground truth. Expected ground_truth/*_labels, PartsSegmentation or "
            f"ground_truth_merged_parts as PNG next to left_frames; it is available from {endovis2017.WHERE_TO_ASK}."
        )
    without_parts = tuple(frame_id(frame) for frame in frames if not frame.part_files)
    return Collected(
        samples, dict(tree.notes), [LeftOut("no parts ground truth", without_parts)] if without_parts else []
    )


def frame_id(frame: endovis2017.Frame2017) -> str:
    """Return the canonical id of a frame."""
    return f"endovis2017_{frame.sequence}_frame{frame.number:03d}"


def _sample(frame: endovis2017.Frame2017) -> Sample:
    return Sample(
        frame_id=frame_id(frame),
        source="endovis2017",
        sequence=frame.sequence,
        read=partial(_read, frame),
        files=(frame.image, *frame.part_files),
    )


def _read(frame: endovis2017.Frame2017) -> tuple[Pixels, Pixels]:
    image, parts = read_rgb(frame.image), endovis2017.parts_mask(frame)
    check_same_size(image, parts, frame.image, frame.part_files[0])
    return endovis2017.crop(image), endovis2017.crop((parts // 10).astype(np.uint8))
