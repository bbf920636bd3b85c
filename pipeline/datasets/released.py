"""Collects MTLESD and MTLEndovis from the trees that the authors release, with the split of the release."""

from __future__ import annotations

from functools import partial

from pipeline.datasets.sample import BAD, Collected, CollectRequest, LeftOut, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.sources import released
from pipeline.sources.frame_files import jpeg_note


def collect(request: CollectRequest) -> Collected:
    """Collect the frames of one released tree, `esd` or `released_mtlendovis`.

    Raises:
        InputError: if the tree is absent or has another layout, or if an image has no mask (with `request.skip_bad`: if no image has one).
    """
    ((source, root),) = request.roots.items()
    frames = released.read_tree(root, source)
    without_mask = [frame for frame in frames if frame.mask is None]
    if without_mask and not request.skip_bad:
        raise InputError(released.missing_mask(without_mask[0]))
    samples = [_sample(frame, source) for frame in frames if frame.mask is not None]
    if not samples:
        raise InputError(
            f"{root}: none of {len(frames)} images has a mask. The first: {released.missing_mask(without_mask[0])}"
        )
    left_out = [LeftOut(released.missing_mask(frame), (frame_id(frame, source),), BAD) for frame in without_mask]
    activity_folders = ", ".join(f"{k} {name}" for k, name in enumerate(released.ENCODINGS[source].activities, start=1))
    notes = {"activity_folders": activity_folders, **jpeg_note((frame.image for frame in frames), root)}
    return Collected(samples, notes, left_out)


def frame_id(frame: released.FrameReleased, source: str) -> str:
    """Return the canonical id of a frame."""
    return f"{source}_{frame.split}_{frame.folder}_{frame.name}"


def _sample(frame: released.FrameReleased, source: str) -> Sample:
    assert frame.mask is not None
    return Sample(
        frame_id=frame_id(frame, source),
        source=source,
        sequence="",  # the releases do not name the video of a frame
        read=partial(_read, frame, source),
        files=(frame.image, frame.mask),
        image_file=frame.image,
        activity=frame.activity,
        actions=(frame.activity,),
        given_split=frame.split,
    )


def _read(frame: released.FrameReleased, source: str) -> tuple[Pixels, Pixels]:
    image, mask = read_rgb(frame.image), released.class_mask(frame, source)
    check_same_size(image, mask, frame.image, frame.mask or frame.image)
    return image, mask
