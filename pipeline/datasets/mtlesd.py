"""MTLESD: imported from the tree its authors release, with the split it came with."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.labels import ESD
from pipeline.datasets.sample import Collected, Sample
from pipeline.images import Pixels, check_same_size, read_rgb
from pipeline.sources import esd


def collect(esd_root: Path) -> Collected:
    """The frames of MTLESD.

    Args:
        esd_root: the released tree.

    Raises:
        InputError: if the tree is absent or not in its layout.
    """
    return Collected([_sample(frame) for frame in esd.read_tree(esd_root)])


def _sample(frame: esd.FrameEsd) -> Sample:
    def read() -> tuple[Pixels, Pixels]:
        image, mask = read_rgb(frame.image), esd.class_mask(frame)
        check_same_size(image, mask, frame.image, frame.mask)
        return image, mask

    activity = ESD.activities[frame.activity - 1]
    return Sample(
        frame_id=f"esd_{frame.split}_{frame.activity}_{frame.name}",
        source="esd",
        sequence="",  # the release does not say which video a frame is from
        read=read,
        activity=activity,
        actions=(activity,),
        released_split=frame.split,
    )
