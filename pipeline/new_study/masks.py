"""Inspects your own images and masks: the values of masks, their frequency, and the frames that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_channels, read_colours, read_header, read_rgb
from pipeline.io.processes import ordered_map
from pipeline.sources.plain import FramePlain

MOST_FRAMES = 300  # of more frames a sample is inspected; 300 Full-HD frames take half a minute
HIGHEST_ID = 40  # numbers up to this one are always regarded as class ids
_MANY = 8  # a mask with at least this many values, most of them rare, is blurred
_RARE = 0.01  # share of a mask's pixels
_BLURRED = "docs/own-frames.md, Blurred masks, explains how to repair them"


@dataclass(frozen=True)
class FrameContent:
    """The content of one frame's files.

    Attributes:
        error: why the frame cannot be used, or "".
        image: kind of the image in words, e.g. "320x256 RGB JPEG".
        mask: kind of the mask in words.
        values: number of pixels by value; a colour is 0xRRGGBB.
        colours: whether the values are colours.
    """

    error: str = ""
    image: str = ""
    mask: str = ""
    values: Mapping[int, int] | None = None
    colours: bool = False


def sampled(count: int) -> list[int]:
    """Return the indices of the frames that are inspected, out of `count` frames."""
    indices = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round()
    return [int(index) for index in indices]


def inspect_frames(frames: Sequence[FramePlain], workers: int) -> list[FrameContent]:
    """Inspect up to `MOST_FRAMES` frames, at equal distances if there are more.

    If some masks have colours, all masks are read as colours, as the build does.

    Args:
        frames: frames with existing files.
        workers: number of processes.

    Returns:
        One result per inspected frame, in the order of the frames.
    """
    sample = [frames[index] for index in sampled(len(frames))]
    contents = list(ordered_map(_inspect_frame, sample, workers, "inspect frames"))
    others = [index for index, content in enumerate(contents) if not content.colours and not content.error]
    if not others or not any(content.colours for content in contents):
        return contents
    again = ordered_map(
        partial(_inspect_frame, colours=True), [sample[index] for index in others], workers, "read colours"
    )
    for index, content in zip(others, again, strict=True):
        contents[index] = content
    return contents


def _inspect_frame(frame: FramePlain, colours: bool = False) -> FrameContent:
    try:
        image, mask = read_rgb(frame.image), _read_mask(frame.mask, colours)
        check_same_size(image, mask, frame.image, frame.mask)
    except InputError as error:
        return FrameContent(f"{error}{_hint(frame.mask)}")
    coloured = mask.ndim == 3
    values = _count(mask)
    if _is_blurred(values, coloured):
        return FrameContent(f"{frame.mask}: {_blurred_message(values, coloured)}")
    headers = map(read_header, (frame.image, frame.mask))
    image_kind, mask_kind = (f"{header.width}x{header.height} {header.kind} {header.format}" for header in headers)
    return FrameContent("", image_kind, mask_kind, values, coloured)


def _read_mask(path: Path, colours: bool) -> Pixels:
    """Return numbers (H, W), or colours (H, W, 3) if `colours` is set or the channels differ."""
    if colours:
        return read_colours(path)
    samples = read_channels(path)
    if samples.ndim == 2:
        return samples
    return samples if (samples != samples[..., :1]).any() else samples[..., 0]


def _count(mask: Pixels) -> dict[int, int]:
    values: NDArray[np.int32] = mask.astype(np.int32)
    if mask.ndim == 3:
        values = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _main_values(values: Mapping[int, int]) -> list[int]:
    return [value for value, count in values.items() if count >= _RARE * sum(values.values())]


def _is_blurred(values: Mapping[int, int], colours: bool) -> bool:
    """Return whether a mask has many values, most of them rare, as after JPEG compression or smooth resizing. Small numbers are ids."""
    as_ids = not colours and max((value for value in values if value != 255), default=0) <= HIGHEST_ID
    return not as_ids and len(values) >= _MANY and len(_main_values(values)) <= len(values) / 2


def _blurred_message(values: Mapping[int, int], colours: bool) -> str:
    what, main = "colours" if colours else "values", _main_values(values)
    share = sum(values[value] for value in main) / sum(values.values())
    if share < 0.5:
        return (
            f"holds {len(values):,} {what}, none of them frequent, like a photograph; expected a mask. Check whether the folders of images "
            "and masks are swapped."
        )
    near = ", ".join(f"{written(v, colours)} ({values[v] / sum(values.values()):.0%} of pixels)" for v in main[:6])
    return (
        f"holds {len(values):,} {what}, most of them close to a few: {near}. JPEG or smooth resizing causes this, and the class "
        f"of such pixels is lost. Export the masks again as PNG; otherwise {_BLURRED}."
    )


def _hint(path: Path) -> str:
    """Describe the content of a mask that the reader refuses, if it is a JPEG."""
    try:
        if read_header(path).format != "JPEG":
            return ""
        pixels = read_rgb(path)
    except InputError:
        return ""
    colours = bool((np.ptp(pixels.astype(np.int16), axis=2) > 2 * _MANY).any())
    return f" It {_blurred_message(_count(pixels if colours else pixels[..., 0]), colours)}"


def written(value: int, colours: bool) -> str:
    """Return a value in the notation of a study."""
    return f"#{value:06x}" if colours else str(value)
