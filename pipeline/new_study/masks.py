"""Looks at images and masks of one's own: which values masks hold, how often, and what cannot be used."""

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

MOST_FRAMES = 300  # more are sampled: that many Full-HD frames take half a minute
HIGHEST_ID = 40  # up to here numbers are taken for ids as they are
_MANY = 8  # a mask with so many values, most of them rare, was blurred
_RARE = 0.01  # of a mask's pixels
_BLURRED = "docs/own-frames.md, Blurred masks, says how to mend them"


@dataclass(frozen=True)
class Look:
    """What one frame's files hold.

    error: why the frame cannot be used, or "". image, mask: kinds in words, e.g. "320x256 RGB JPEG". values: pixels by value, of a
    colour as 0xRRGGBB. colours: whether they are colours.
    """

    error: str = ""
    image: str = ""
    mask: str = ""
    values: Mapping[int, int] | None = None
    colours: bool = False


def sampled(count: int) -> list[int]:
    """Return the places of the frames that are looked at, of so many."""
    places = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round()
    return [int(place) for place in places]


def look_at_frames(frames: Sequence[FramePlain], workers: int) -> list[Look]:
    """Look at frames: all of up to `MOST_FRAMES`, of more that many at equal distances.

    If some masks have colours, all are read as colours, as a build does.

    Args:
        frames: whose files are there. workers: processes.

    Returns:
        One look a frame, in their order.
    """
    chosen = [frames[place] for place in sampled(len(frames))]
    looks = list(ordered_map(_look_at, chosen, workers, "look at frames"))
    others = [index for index, look in enumerate(looks) if not look.colours and not look.error]
    if not others or not any(look.colours for look in looks):
        return looks
    again = ordered_map(partial(_look_at, colours=True), [chosen[index] for index in others], workers, "read colours")
    for index, look in zip(others, again, strict=True):
        looks[index] = look
    return looks


def _look_at(frame: FramePlain, colours: bool = False) -> Look:
    try:
        image, mask = read_rgb(frame.image), _read_mask(frame.mask, colours)
        check_same_size(image, mask, frame.image, frame.mask)
    except InputError as error:
        return Look(f"{error}{_hint(frame.mask)}")
    coloured = mask.ndim == 3
    values = _count(mask)
    if _is_blurred(values, coloured):
        return Look(f"{frame.mask}: {_say_blurred(values, coloured)}")
    headers = map(read_header, (frame.image, frame.mask))
    image_kind, mask_kind = (f"{header.width}x{header.height} {header.kind} {header.format}" for header in headers)
    return Look("", image_kind, mask_kind, values, coloured)


def _read_mask(path: Path, colours: bool) -> Pixels:
    """Numbers (H, W), or colours (H, W, 3) where they are asked for or channels differ."""
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
    """Whether a mask has many values, most of them rare: the traces of JPEG, or of edges that resizing made smooth. Small numbers are
    ids, however rare they are."""
    as_ids = not colours and max((value for value in values if value != 255), default=0) <= HIGHEST_ID
    return not as_ids and len(values) >= _MANY and len(_main_values(values)) <= len(values) / 2


def _say_blurred(values: Mapping[int, int], colours: bool) -> str:
    what, main = "colours" if colours else "values", _main_values(values)
    held = sum(values[value] for value in main) / sum(values.values())
    if held < 0.5:
        return (
            f"holds {len(values):,} {what} and none often, as a photograph does; expected a mask. Are the folders of images and masks "
            "the right way round?"
        )
    near = ", ".join(f"{written(v, colours)} ({values[v] / sum(values.values()):.0%} of pixels)" for v in main[:6])
    return (
        f"holds {len(values):,} {what}, most of them near a few: {near}. JPEG or smooth resizing does that, and a pixel's class is lost "
        f"then. Export the masks again as PNG; or {_BLURRED}."
    )


def _hint(path: Path) -> str:
    """What a mask that the reader refuses holds, if it is a JPEG."""
    try:
        if read_header(path).format != "JPEG":
            return ""
        pixels = read_rgb(path)
    except InputError:
        return ""
    colours = bool((np.ptp(pixels.astype(np.int16), axis=2) > 2 * _MANY).any())
    return f" It {_say_blurred(_count(pixels if colours else pixels[..., 0]), colours)}"


def written(value: int, colours: bool) -> str:
    """Return a value as a study writes it."""
    return f"#{value:06x}" if colours else str(value)
