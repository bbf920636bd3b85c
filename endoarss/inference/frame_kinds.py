"""Prepares frames for a model: as its training frames were prepared, or whole, and says which frames do not look like them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.pictures import Pixels, resize_image
from endoarss.inference.preprocessing import SIDES, Preprocessing, dark_borders, is_bordered

Window = tuple[int, int, int, int]

# A frame's aspect ratio, and the share of a side that is a dark border, may differ by this much from those of training frames.
_RATIO, _BORDER = 0.02, 0.03
_SHOWN = 3  # sizes of training frames that a message names
_SAID = 6  # messages at most; folders of pictures of all sizes exist
_MORE = "More kinds of frames are cropped, or do not look like the training frames."


@dataclass
class Kind:
    """The frames of one size that are treated alike.

    Attributes:
        width, height: of the frames, in pixels.
        window: top, bottom, left and right of what the model sees; None if it sees the whole frame.
        count: how many frames came.
        borders: for each of `SIDES`, the smallest and the largest share that is dark, over all frames that are not dark as a whole.
        notes: what the user was told of them.
    """

    width: int
    height: int
    window: Window | None
    count: int = 0
    borders: NDArray[np.float64] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height of what the model sees, in pixels."""
        if self.window is None:
            return self.width, self.height
        top, bottom, left, right = self.window
        return right - left, bottom - top

    def measure(self, small: Pixels) -> NDArray[np.float64] | None:
        """Take the dark borders of one more frame, uint8 RGB (S, S, 3), into account, and return those of all frames so far."""
        shares = dark_borders(small)
        if shares is not None:
            now = np.array(shares)
            least, most = (now, now) if self.borders is None else self.borders.T
            self.borders = np.stack([np.minimum(least, now), np.maximum(most, now)], axis=1)
        return self.borders


@dataclass
class FrameKinds:
    """Prepares frames one after the other, and has something to say when a new kind of frame comes and at the end.

    Attributes:
        preprocessing: of the model's training frames; None if its checkpoint does not say it.
        size: width and height of the model's input, in pixels.
        more: the last message, where there were more kinds than messages.
        kinds: the kinds of frames that came, by size and window.
        said: how many notes there were.
    """

    preprocessing: Preprocessing | None
    size: int
    more: str = _MORE
    kinds: dict[tuple[int, int, Window | None], Kind] = field(default_factory=dict)
    said: int = 0

    def prepare(self, pixels: Pixels) -> tuple[Pixels, Window | None, str]:
        """Crop and resize a frame as in training.

        Args:
            pixels: uint8 RGB (H, W, 3).

        Returns:
            The model's input (S, S, 3); the window of the frame that it shows (top, bottom, left, right), or None for the whole frame;
            and what to tell the user now, or an empty string.
        """
        height, width = pixels.shape[:2]
        window = self._window(pixels)
        if window is not None:
            top, bottom, left, right = window
            pixels = pixels[top:bottom, left:right]
        small = resize_image(pixels, self.size)
        kind = self.kinds.setdefault((width, height, window), Kind(width, height, window))
        kind.count += 1
        note = ""
        if self.preprocessing is not None:
            # Frames that are dark as a whole, with which videos begin, say nothing of what the others look like.
            before, after = kind.borders, kind.measure(small)
            if before is None and after is not None:
                note = self._note(kind, _of_size(self.preprocessing, kind, self.size))
        return small, window, note

    def finish(self) -> list[str]:
        """Return what to tell the user once all frames have come: which kinds have another dark border than the training frames.

        One dark frame proves nothing, so a border counts only if every frame of the kind has it.
        """
        if self.preprocessing is None:
            return []
        notes = [self._note(kind, _of_borders(self.preprocessing, kind)) for kind in self.kinds.values()]
        return [note for note in notes if note]

    def _note(self, kind: Kind, note: str) -> str:
        """Keep a note on a kind of frame, and return what to say: the note, unless there were many."""
        if not note:
            return ""
        kind.notes.append(note)
        self.said += 1
        return note if self.said < _SAID else self.more if self.said == _SAID else ""

    def summary(self) -> list[dict[str, Any]]:
        """Return the kinds of frames that came, for a JSON file."""
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
        crop = self.preprocessing.crop if self.preprocessing else None
        window = crop.window(*pixels.shape[:2]) if crop else None
        if window is None or window[0] >= window[1] or window[2] >= window[3]:
            return None
        return window if is_bordered(pixels, window) else None


def _of_size(known: Preprocessing, kind: Kind, size: int) -> str:
    """Return one sentence or two on a kind of frame whose size is unlike that of training frames, or that is cropped; else nothing."""
    name, (width, height) = f"frames of {kind.width}x{kind.height}", kind.seen
    treated = f"resized whole to {size}x{size}"
    if kind.window is not None:
        top, bottom, left, right = kind.window
        treated = (
            f"cropped to rows {top} to {bottom} and columns {left} to {right} ({width}x{height}), as the benchmark crops EndoVis 2017; "
            "masks hold the background outside of it"
        )
    reasons = []
    ratio, ratios = width / height, [w / h for w, h in known.sizes]
    if not min(ratios) * (1 - _RATIO) <= ratio <= max(ratios) * (1 + _RATIO):
        reasons.append(f"their aspect ratio is {ratio:.2f}, expected {_range(min(ratios), max(ratios), '.2f')}")
        if kind.window is None and known.crop is not None and known.crop.window(kind.height, kind.width):
            reasons.append("they lack the dark border of raw EndoVis 2017 frames, which would be cropped")
    if min(width, height) < size <= min(min(pair) for pair in known.sizes):
        reasons.append(f"they are smaller than the model's input of {size}x{size}")
    if reasons:
        return f"{name} do not look like the training frames ({_training(known)}): {'; '.join(reasons)}. They are {treated}."
    return "" if kind.window is None else f"{name} have the dark border of raw EndoVis 2017 frames: they are {treated}."


def _of_borders(known: Preprocessing, kind: Kind) -> str:
    """Return a sentence on a kind of frame whose dark border is unlike that of training frames, or nothing."""
    if kind.borders is None:
        return ""
    unlike = [
        f"{_range(least, most, '.0%')} at the {side} (expected {_range(*expected, '.0%')})"
        for side, (least, most), expected in zip(SIDES, kind.borders, known.borders, strict=True)
        if least > expected[1] + _BORDER or most < expected[0] - _BORDER
    ]
    if not unlike:
        return ""
    what = "frames" if kind.window is None else "cropped frames"
    return (
        f"{what} of {kind.width}x{kind.height} do not look like the training frames ({_training(known)}): their dark border takes "
        f"{', '.join(unlike)}. They are used with it."
    )


def _training(known: Preprocessing) -> str:
    sizes = ", ".join(f"{width}x{height}" for width, height in known.sizes[:_SHOWN])
    return f"{sizes}{', ...' if len(known.sizes) > _SHOWN else ''} of {', '.join(known.sources)}"


def _range(least: float, most: float, form: str) -> str:
    low, high = format(least, form), format(most, form)
    return low if low == high else f"{low} to {high}"


def enlarge_mask(mask: Pixels, width: int, height: int, window: Window | None = None) -> Pixels:
    """Return a mask at the size of its frame, by nearest pixels.

    Args:
        mask: class ids uint8 (S, S) of what the model saw.
        width, height: of the frame.
        window: top, bottom, left and right of what the model saw, None for the whole frame; outside of it is background.
    """
    if window is None:
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    top, bottom, left, right = window
    whole = np.zeros((height, width), np.uint8)
    whole[top:bottom, left:right] = enlarge_mask(mask, right - left, bottom - top)
    return whole
