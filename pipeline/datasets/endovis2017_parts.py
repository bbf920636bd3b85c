"""EndoVis-2017 parts: shaft, wrist and clasper on the officially cropped frames. A dataset without activities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.datasets.sample import Collected, Sample
from pipeline.errors import InputError
from pipeline.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2017


def collect(endovis2017_root: Path) -> Collected:
    """All frames with parts ground truth below the root.

    Raises:
        InputError: if the tree is absent, not in its layout, or without parts.
    """
    frames = endovis2017.read_tree(endovis2017_root)
    samples = [_sample(frame) for _, frame in sorted(frames.items()) if frame.parts or frame.by_instrument]
    if not samples:
        raise InputError(f"{endovis2017_root}: {len(frames)} frames, none of which has parts ground truth beside it.")
    return Collected(samples)


def _sample(frame: endovis2017.Frame2017) -> Sample:
    def read() -> tuple[Pixels, Pixels]:
        image, parts = read_rgb(frame.image), endovis2017.parts_mask(frame)
        check_same_size(image, parts, frame.image, frame.parts or next(iter(frame.by_instrument.values()))[0])
        return endovis2017.crop(image), endovis2017.crop((parts // 10).astype(np.uint8))

    return Sample(
        frame_id=f"endovis2017_{frame.sequence}_frame{frame.number:03d}",
        source="endovis2017",
        sequence=frame.sequence,
        read=read,
    )
