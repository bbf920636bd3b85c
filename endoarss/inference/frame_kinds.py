"""Prepares frames as a model's training frames were prepared, and writes notes on frames that do not look like the training frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.pictures import Pixels, resize_image
from endoarss.inference.preprocessing import SIDES, Preprocessing, dark_borders, is_bordered

Window = tuple[int, int, int, int]

# Largest usual differences from training frames: of the aspect ratio (relative), and of the share that is a dark border (absolute).
_RATIO_TOLERANCE, _BORDER_TOLERANCE = 0.02, 0.03
_SIZES_SHOWN_AT_MOST = 3  # sizes of training frames that a note names
_NOTES_AT_MOST = 6  # a folder may hold images of many sizes
_LAST_NOTE = "More kinds of frames are cropped, or do not look like the training frames."


@dataclass
class Kind:
    """The frames that have the same size and the same crop window.

    Attributes:
        width: the width of the frames, in pixels.
        height: the height of the frames, in pixels.
        window: top, bottom, left and right of the part that the model sees; None if it sees the whole frame.
        count: the number of frames.
        borders: for each of `SIDES`, the smallest and the largest share that is a dark border: float64 (4, 2). Completely dark
            frames do not count; None if there are no other frames.
        notes: all notes on these frames.
    """

    width: int
    height: int
    window: Window | None
    count: int = 0
    borders: NDArray[np.float64] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def seen_size(self) -> tuple[int, int]:
        """Width and height of the part that the model sees, in pixels."""
        if self.window is None:
            return self.width, self.height
        top, bottom, left, right = self.window
        return right - left, bottom - top

    def add_borders(self, model_input: Pixels) -> None:
        """Extend the ranges in `borders` by the borders of one more frame: uint8 RGB (S, S, 3)."""
        shares = dark_borders(model_input)
        if shares is not None:
            of_frame = np.array(shares)
            least, most = (of_frame, of_frame) if self.borders is None else self.borders.T
            self.borders = np.stack([np.minimum(least, of_frame), np.maximum(most, of_frame)], axis=1)


@dataclass
class FrameKinds:
    """Prepares frames one after the other. It returns a note on the first frame of an unusual kind, and further notes at the end.

    Attributes:
        preprocessing: the preprocessing of the model's training frames; None if the checkpoint does not contain it.
        size: width and height of the model's input, in pixels.
        last_note: the note that replaces all further notes if there are too many.
        kinds: the kinds of frames so far, by width, height and window.
        note_count: the number of notes so far.
    """

    preprocessing: Preprocessing | None
    size: int
    last_note: str = _LAST_NOTE
    kinds: dict[tuple[int, int, Window | None], Kind] = field(default_factory=dict)
    note_count: int = 0

    def prepare(self, pixels: Pixels) -> tuple[Pixels, Window | None, str]:
        """Crop and resize a frame as in training.

        Args:
            pixels: uint8 RGB (H, W, 3).

        Returns:
            The model's input, uint8 RGB (S, S, 3); the window that the model sees (top, bottom, left, right), or None for the whole
            frame; and a note for the user, or an empty string.
        """
        height, width = pixels.shape[:2]
        window = self._window(pixels)
        if window is not None:
            top, bottom, left, right = window
            pixels = pixels[top:bottom, left:right]
        model_input = resize_image(pixels, self.size)
        kind = self.kinds.setdefault((width, height, window), Kind(width, height, window))
        kind.count += 1
        note = ""
        if self.preprocessing is not None:
            # Videos often begin with frames that are dark as a whole, so the note waits for the first frame that is not.
            had_borders = kind.borders is not None
            kind.add_borders(model_input)
            if not had_borders and kind.borders is not None:
                note = self._add_note(kind, _size_note(self.preprocessing, kind, self.size))
        return model_input, window, note

    def finish(self) -> list[str]:
        """Return a note on each kind whose dark border differs from that of the training frames. Call this after the last frame.

        A border counts as different only if it differs in every frame of the kind, because single frames may be dark.
        """
        if self.preprocessing is None:
            return []
        notes = [self._add_note(kind, _border_note(self.preprocessing, kind)) for kind in self.kinds.values()]
        return [note for note in notes if note]

    def _add_note(self, kind: Kind, note: str) -> str:
        """Store a note on a kind of frame, and return the text for the user: the note, `last_note`, or nothing after that."""
        if not note:
            return ""
        kind.notes.append(note)
        self.note_count += 1
        if self.note_count < _NOTES_AT_MOST:
            return note
        return self.last_note if self.note_count == _NOTES_AT_MOST else ""

    def summary(self) -> list[dict[str, Any]]:
        """Return the kinds of frames so far, as JSON-like data."""
        return [
            {
                "width": kind.width,
                "height": kind.height,
                "count": kind.count,
                "cropped_to": None
                if kind.window is None
                else {"rows": list(kind.window[:2]), "columns": list(kind.window[2:])},
                "notes": kind.notes,
            }
            for kind in self.kinds.values()
        ]

    def _window(self, pixels: Pixels) -> Window | None:
        """Return the window to which a frame is cropped; None for a frame without the dark border of the training recordings."""
        crop = self.preprocessing.crop if self.preprocessing else None
        window = crop.window(*pixels.shape[:2]) if crop else None
        if window is None or window[0] >= window[1] or window[2] >= window[3]:
            return None
        return window if is_bordered(pixels, window) else None


def _size_note(training: Preprocessing, kind: Kind, size: int) -> str:
    """Return a note on a kind of frame that is cropped, or whose size or aspect ratio is unusual; otherwise an empty string."""
    name, (width, height) = f"frames of {kind.width}x{kind.height}", kind.seen_size
    treatment = f"resized to {size}x{size} without cropping"
    if kind.window is not None:
        top, bottom, left, right = kind.window
        treatment = (
            f"cropped to rows {top} to {bottom} and columns {left} to {right} ({width}x{height}), as the benchmark crops EndoVis 2017; "
            "outside of this window masks are background"
        )
    reasons = []
    ratio, ratios = width / height, [w / h for w, h in training.sizes]
    if not min(ratios) * (1 - _RATIO_TOLERANCE) <= ratio <= max(ratios) * (1 + _RATIO_TOLERANCE):
        reasons.append(f"their aspect ratio is {ratio:.2f}, expected {_range(min(ratios), max(ratios), '.2f')}")
        if kind.window is None and training.crop is not None and training.crop.window(kind.height, kind.width):
            reasons.append("they lack the dark border of raw EndoVis 2017 frames, which would be cropped")
    if min(width, height) < size <= min(min(pair) for pair in training.sizes):
        reasons.append(f"they are smaller than the model's input of {size}x{size}")
    if reasons:
        return (
            f"{name} do not look like the training frames ({_sizes_and_sources(training)}): {'; '.join(reasons)}. "
            f"They are {treatment}."
        )
    return (
        "" if kind.window is None else f"{name} have the dark border of raw EndoVis 2017 frames: they are {treatment}."
    )


def _border_note(training: Preprocessing, kind: Kind) -> str:
    """Return a note on a kind of frame whose dark border differs from that of training frames; otherwise an empty string."""
    if kind.borders is None:
        return ""
    unusual = [
        f"{_range(least, most, '.0%')} at the {side} (expected {_range(*expected, '.0%')})"
        for side, (least, most), expected in zip(SIDES, kind.borders, training.borders, strict=True)
        if least > expected[1] + _BORDER_TOLERANCE or most < expected[0] - _BORDER_TOLERANCE
    ]
    if not unusual:
        return ""
    name = "frames" if kind.window is None else "cropped frames"
    return (
        f"{name} of {kind.width}x{kind.height} do not look like the training frames ({_sizes_and_sources(training)}): "
        f"their dark border takes {', '.join(unusual)}. This border is not cropped."
    )


def _sizes_and_sources(training: Preprocessing) -> str:
    sizes = ", ".join(f"{width}x{height}" for width, height in training.sizes[:_SIZES_SHOWN_AT_MOST])
    more = ", ..." if len(training.sizes) > _SIZES_SHOWN_AT_MOST else ""
    return f"{sizes}{more} of {', '.join(training.sources)}"


def _range(least: float, most: float, form: str) -> str:
    low, high = format(least, form), format(most, form)
    return low if low == high else f"{low} to {high}"


def enlarge_mask(mask: Pixels, width: int, height: int, window: Window | None = None) -> Pixels:
    """Return a mask at the size of its frame, by nearest pixels; pixels outside the window are background.

    Args:
        mask: class ids, uint8 (S, S), of the part that the model saw.
        width: the width of the frame, in pixels.
        height: the height of the frame, in pixels.
        window: top, bottom, left and right of the part that the model saw; None for the whole frame.
    """
    if window is None:
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    top, bottom, left, right = window
    of_frame = np.zeros((height, width), np.uint8)
    of_frame[top:bottom, left:right] = enlarge_mask(mask, right - left, bottom - top)
    return of_frame
