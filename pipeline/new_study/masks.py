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

MOST_FRAMES = 300  # if there are more, this many are inspected; 300 Full-HD frames take half a minute
HIGHEST_ID = 40  # if no number but 255 is higher, the numbers are regarded as class ids
_MANY_VALUES = 8  # a mask with at least this many values, most of them rare, is regarded as blurred
_RARE_SHARE = 0.01  # a value with a smaller share of the mask's pixels is rare
_GREY_RANGE = 16  # in a JPEG, channels that differ by more show a colour
_HELP = "docs/own-frames.md, Blurred masks, explains how to repair them"


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


def sampled_indices(count: int) -> list[int]:
    """Return the indices of the frames that are inspected, out of `count` frames."""
    indices = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round()
    return [int(index) for index in indices]


def inspect_frames(frames: Sequence[FramePlain], workers: int) -> list[FrameContent]:
    """Inspect up to `MOST_FRAMES` frames, at equal distances if there are more.

    If some masks have colours, all masks are read as colours, because the build reads them so.

    Args:
        frames: frames with existing files.
        workers: number of processes.

    Returns:
        One result per inspected frame, in the order of the frames.
    """
    sample = [frames[index] for index in sampled_indices(len(frames))]
    contents = list(ordered_map(_inspect_frame, sample, workers, "inspect frames"))
    others = [index for index, content in enumerate(contents) if not content.colours and not content.error]
    if not others or not any(content.colours for content in contents):
        return contents
    with_colours = ordered_map(
        partial(_inspect_frame, colours=True), [sample[index] for index in others], workers, "read colours"
    )
    for index, content in zip(others, with_colours, strict=True):
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
    """Return the number of pixels by value."""
    values: NDArray[np.int32] = mask.astype(np.int32)
    if mask.ndim == 3:
        values = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    present, counts = np.unique(values, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def _main_values(values: Mapping[int, int]) -> list[int]:
    """Return the values that are not rare."""
    return [value for value, count in values.items() if count >= _RARE_SHARE * sum(values.values())]


def _is_blurred(values: Mapping[int, int], colours: bool) -> bool:
    """Return whether a mask has many values, most of them rare, as after JPEG compression or smooth resizing, and they are not ids."""
    as_ids = not colours and max((value for value in values if value != 255), default=0) <= HIGHEST_ID
    return not as_ids and len(values) >= _MANY_VALUES and len(_main_values(values)) <= len(values) / 2


def _blurred_message(values: Mapping[int, int], colours: bool) -> str:
    noun, main_values = "colours" if colours else "values", _main_values(values)
    share = sum(values[value] for value in main_values) / sum(values.values())
    if share < 0.5:
        return (
            f"holds {len(values):,} {noun}, none of them frequent, like a photograph; expected a mask. Check whether the folders of images "
            "and masks are swapped."
        )
    listed = ", ".join(
        f"{study_notation(v, colours)} ({values[v] / sum(values.values()):.0%} of pixels)" for v in main_values[:6]
    )
    return (
        f"holds {len(values):,} {noun}, most of them close to a few: {listed}. JPEG or smooth resizing causes this, and the class "
        f"of such pixels is lost. Export the masks again as PNG; otherwise {_HELP}."
    )


def _hint(path: Path) -> str:
    """Return a sentence on the content of a mask that cannot be read, or an empty string if it is not a JPEG."""
    try:
        if read_header(path).format != "JPEG":
            return ""
        pixels = read_rgb(path)
    except InputError:
        return ""
    colours = bool((np.ptp(pixels.astype(np.int16), axis=2) > _GREY_RANGE).any())
    return f" It {_blurred_message(_count(pixels if colours else pixels[..., 0]), colours)}"


def study_notation(value: int, colours: bool) -> str:
    """Return a value in the notation of a study."""
    return f"#{value:06x}" if colours else str(value)
