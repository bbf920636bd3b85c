"""Describes how training frames were cropped and resized. Checkpoints store this, so that prediction prepares frames in the same way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from endoarss.errors import SettingsError
from endoarss.settings import first_error

Pixels = NDArray[np.uint8]

# The rule of `corruptions.pictures.resize_image`, as checkpoints store it. Another rule needs another version of this code.
RESIZING = "by areas where both sides shrink, else bilinear"
DARK = 32  # a pixel is dark if none of its channels is above this value; the border of EndoVis 2017 has about 15
_LIT = 0.01  # a row, column or band counts as dark if at most this share of its pixels is not dark
MOST_SIZES = 100  # largest number of sizes in a checkpoint
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Crop:
    """The window to which recordings with a dark border are cropped.

    Attributes:
        recorded: width and height of the recording before cropping, in pixels.
        columns: the first column of the window, and the first column after it.
        rows: the first row of the window, and the first row after it.
    """

    recorded: tuple[int, int]
    columns: tuple[int, int]
    rows: tuple[int, int]

    def window(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """Return the window (top, bottom, left, right), scaled to a frame of this size; None if the frame has another aspect ratio."""
        if abs(width / height - self.recorded[0] / self.recorded[1]) > 0.01:
            return None
        scale = height / self.recorded[1]
        top, bottom, left, right = (round(scale * edge) for edge in (*self.rows, *self.columns))
        return top, bottom, left, right


@dataclass(frozen=True)
class Preprocessing:
    """How the frames of a model's training split were prepared, and what they look like.

    Attributes:
        sources: the names of the sources that the frames are from.
        sizes: width and height of the frames after cropping and before resizing: all pairs that occur, sorted. If there are more than
            `MOST_SIZES`, only those with the smallest and the largest aspect ratio, shorter side and area.
        borders: for each of `SIDES`, the share of the width or height that is a dark border: smallest and largest value of all frames.
        crop: the window to which recordings with a dark border are cropped; None if frames are not cropped.
    """

    sources: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    borders: tuple[tuple[float, float], ...]
    crop: Crop | None

    def to_dict(self) -> dict[str, Any]:
        """Return the preprocessing as a checkpoint's header stores it."""
        crop = None
        if self.crop is not None:
            crop = {name: list(getattr(self.crop, name)) for name in ("recorded", "columns", "rows")}
        return {
            "sources": list(self.sources),
            "sizes": [list(size) for size in self.sizes],
            "borders": {side: list(share) for side, share in zip(SIDES, self.borders, strict=True)},
            "crop": crop,
            "resizing": RESIZING,
        }

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Preprocessing:
        """Return the preprocessing from data of the form that `to_dict` returns.

        Args:
            data: JSON-like data from any source; it is checked.
            where: the file that contained the data, for messages.

        Raises:
            SettingsError: if the data is malformed, or names another rule of resizing than `RESIZING`.
        """
        try:
            stored = _Stored.model_validate_json(json.dumps(data))
        except (ValidationError, TypeError, ValueError, RecursionError) as error:
            reason = first_error(error) if isinstance(error, ValidationError) else str(error)
            raise SettingsError(
                f"{where}: the entry `preprocessing` of its header cannot be used: {reason} Use the version of this package that "
                "trained the model, or train the model again."
            ) from None
        crop = None if stored.crop is None else Crop(stored.crop.recorded, stored.crop.columns, stored.crop.rows)
        return cls(stored.sources, stored.sizes, tuple(stored.borders[side] for side in SIDES), crop)


_STRICT = ConfigDict(strict=True, frozen=True)
_Length = Annotated[int, Field(ge=1, le=1 << 20)]
_Edge = Annotated[int, Field(ge=0, le=1 << 20)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _StoredCrop(BaseModel):
    """`Crop` as a checkpoint's header holds it."""

    model_config = _STRICT

    recorded: tuple[_Length, _Length]
    columns: tuple[_Edge, _Edge]
    rows: tuple[_Edge, _Edge]

    @model_validator(mode="after")
    def _lies_within(self) -> _StoredCrop:
        for edges, length in zip((self.columns, self.rows), self.recorded, strict=True):
            if not edges[0] < edges[1] <= length:
                raise ValueError(f"expected a window within {self.recorded[0]} columns and {self.recorded[1]} rows")
        return self


class _Stored(BaseModel):
    """`Preprocessing` as a checkpoint's header holds it."""

    model_config = _STRICT

    sources: Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(max_length=100)]
    sizes: Annotated[tuple[tuple[_Length, _Length], ...], Field(min_length=1, max_length=MOST_SIZES)]
    borders: dict[str, tuple[_Share, _Share]]
    crop: _StoredCrop | None
    resizing: Literal["by areas where both sides shrink, else bilinear"]  # `RESIZING`

    @field_validator("borders")
    @classmethod
    def _have_all_sides(cls, borders: dict[str, Any]) -> dict[str, Any]:
        if set(borders) != set(SIDES):
            raise ValueError(f"expected the keys {', '.join(SIDES)}")
        return borders


def dark_borders(image: Pixels) -> tuple[float, ...] | None:
    """Return the share of the image's width or height that is a dark border, at each of `SIDES`.

    Args:
        image: uint8 RGB (H, W, 3).

    Returns:
        Four shares from 0 to 1, or None if the whole image is dark, because a border cannot be recognised then.
    """
    lit = (image > DARK).any(axis=2)
    columns, rows = (np.flatnonzero(lit.mean(axis=axis) > _LIT) for axis in (0, 1))
    if not len(columns) or not len(rows):
        return None
    height, width = lit.shape
    return columns[0] / width, rows[0] / height, 1 - (columns[-1] + 1) / width, 1 - (rows[-1] + 1) / height


def is_bordered(image: Pixels, window: tuple[int, int, int, int]) -> bool:
    """Return whether the image is dark outside a window, on all four sides of the window.

    Args:
        image: uint8 RGB (H, W, 3).
        window: top, bottom, left and right of the window.
    """
    top, bottom, left, right = window
    bands = (image[:top, left:right], image[bottom:, left:right], image[:, :left], image[:, right:])
    step = max(1, image.shape[0] // 270)  # about 270 rows are enough to see whether a band is dark
    return all(np.mean((band[::step, ::step] > DARK).any(axis=2)) <= _LIT for band in bands if band.size)
