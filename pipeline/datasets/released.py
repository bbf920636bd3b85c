"""Datasets imported from the trees their authors release, with the split they came with: MTLESD, and MTLEndovis too."""

from __future__ import annotations

from functools import partial

from pipeline.datasets.sample import BAD, Collected, LeftOut, Order, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.sources import released
from pipeline.sources.frame_files import jpeg_note


def collect(order: Order) -> Collected:
    """The frames of one released tree, `esd` or `released_mtlendovis`.

    Raises:
        InputError: if the tree is absent or not in its layout, or a picture has no mask and `order.skip_bad` is not set.
    """
    ((source, root),) = order.roots.items()
    frames = released.read_tree(root, source)
    bare = [frame for frame in frames if frame.mask is None]
    if bare and not order.skip_bad:
        raise InputError(released.missing_mask(bare[0]))
    samples = [_sample(frame, source) for frame in frames if frame.mask is not None]
    if not samples:
        raise InputError(
            f"{root}: none of {len(frames)} pictures has a mask. The first: {released.missing_mask(bare[0])}"
        )
    left_out = [LeftOut(released.missing_mask(frame), (frame_id(frame, source),), BAD) for frame in bare]
    order_of_folders = ", ".join(f"{k} {name}" for k, name in enumerate(released.ENCODINGS[source].activities, start=1))
    notes = {"activity_folders": order_of_folders, **jpeg_note((frame.image for frame in frames), root)}
    return Collected(samples, notes, left_out)


def frame_id(frame: released.FrameReleased, source: str) -> str:
    """The canonical id of a frame."""
    return f"{source}_{frame.split}_{frame.folder}_{frame.name}"


def _sample(frame: released.FrameReleased, source: str) -> Sample:
    assert frame.mask is not None
    return Sample(
        frame_id=frame_id(frame, source),
        source=source,
        sequence="",  # the releases do not say which video a frame is from
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
