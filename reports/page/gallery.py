"""Pictures of the page's gallery: each is kept once, as small as it can be."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reports.statistics.ignored import IGNORED, IGNORED_COLOUR

SIDE = 224
"""The longest side of a picture on the page; what is larger is shrunk."""
QUALITY = 75
"""Of the JPEGs. Colours are as fine as light, so that the deviation of noise from pixel to pixel stays within a fifth of what it was."""


@dataclass
class Pictures:
    """Encoded pictures, equal ones once. urls: as data URLs, in the order of their numbers."""

    urls: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add_image(self, image: NDArray[np.uint8]) -> int:
        """Keep an RGB image (H, W, 3) as JPEG, its colours as fine as its light, and return its number."""
        picture = _shrunk(Image.fromarray(image), Image.Resampling.BOX)
        # Without `optimize`, for which the encoder needs a buffer of the whole file, which noise overflows.
        return self._add(picture, "jpeg", {"quality": QUALITY, "subsampling": 0})

    def add_mask(self, mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> int:
        """Keep a mask (H, W) as PNG in its classes' colours, the background transparent and ignored pixels grey, and return its
        number."""
        if (mask == IGNORED).any():
            palette = [*palette, *[(0, 0, 0)] * (IGNORED - len(palette)), IGNORED_COLOUR]
        picture = _shrunk(Image.fromarray(np.ascontiguousarray(mask)), Image.Resampling.NEAREST).convert("P")
        picture.putpalette([channel for colour in palette for channel in colour])
        return self._add(picture, "png", {"transparency": 0, "optimize": True})

    def _add(self, picture: Image.Image, kind: str, options: Mapping[str, Any]) -> int:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        url = f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
        if url not in self._numbers:
            self._numbers[url] = len(self.urls)
            self.urls.append(url)
        return self._numbers[url]


def _shrunk(picture: Image.Image, by: Image.Resampling) -> Image.Image:
    longest = max(picture.size)
    if longest <= SIDE:
        return picture
    width, height = (max(1, round(side * SIDE / longest)) for side in picture.size)
    return picture.resize((width, height), by)


@dataclass(frozen=True)
class GalleryImage:
    """A test image. pictures: by condition the numbers of image and true mask, None where there is no such mask."""

    frame_id: str
    activity: str
    pictures: Mapping[str, tuple[int, int | None]]


@dataclass(frozen=True)
class GalleryModel:
    """A cell's answers. label: as the scores call its model. cell: its id. seeds: how many the scores are means over.

    masks: by condition one number an image, None where it gives no mask. answers: by condition one dict an image, of `activity`
    (its name) and of the metrics that are shown below an image, as they are stored, as far as they are known.
    """

    label: str
    cell: str
    seeds: int
    masks: Mapping[str, Sequence[int | None]]
    answers: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class GalleryDataset:
    """The images of a dataset and what models say of them. classes: names and CSS colours, the background left out. severities: those
    that are shown."""

    title: str
    classes: Sequence[tuple[str, str]]
    severities: Sequence[int]
    images: Sequence[GalleryImage]
    models: Sequence[GalleryModel]


@dataclass(frozen=True)
class Gallery:
    """The gallery. pictures: what the numbers stand for. missing: cells that are not in it, and why. note: what a reader must know.

    A condition is written "<corruption>/<severity>", the clean images "/0".
    """

    datasets: Sequence[GalleryDataset]
    pictures: Pictures
    missing: Sequence[tuple[str, str]] = ()
    note: str = ""


def condition_key(corruption: str, severity: int) -> str:
    """How the page writes a condition."""
    return f"{corruption}/{severity}"


def css_colour(colour: Sequence[int]) -> str:
    """An RGB colour as CSS has it."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)
