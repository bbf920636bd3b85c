"""Defines the gallery of the page, and encodes its pictures; equal pictures are stored once."""

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
"""The longest side of a picture on the page in pixels; larger pictures are shrunk."""
QUALITY = 75
"""JPEG quality. With this value and full colour resolution, the standard deviation of pixel noise changes by at most a fifth."""


@dataclass
class Pictures:
    """Encoded pictures, without duplicates.

    Attributes:
        urls: The pictures as data URLs, in the order of their numbers.
    """

    urls: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add_image(self, image: NDArray[np.uint8]) -> int:
        """Add an RGB image (H, W, 3) as JPEG with full colour resolution, and return its number."""
        picture = _shrunk(Image.fromarray(image), Image.Resampling.BOX)
        # Without `optimize`, because its encoder needs a buffer for the whole file, and noisy images overflow it.
        return self._add(picture, "jpeg", {"quality": QUALITY, "subsampling": 0})

    def add_mask(self, mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> int:
        """Add a mask (H, W) as PNG in the colours of its classes, and return its number.

        The background is transparent and ignored pixels are grey.
        """
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


def _shrunk(picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
    longest = max(picture.size)
    if longest <= SIDE:
        return picture
    width, height = (max(1, round(side * SIDE / longest)) for side in picture.size)
    return picture.resize((width, height), resampling)


@dataclass(frozen=True)
class GalleryImage:
    """A test image.

    Attributes:
        frame_id: The id of the frame.
        activity: The name of the activity.
        pictures: By condition, the numbers of the image and of the true mask (None without a mask).
    """

    frame_id: str
    activity: str
    pictures: Mapping[str, tuple[int, int | None]]


@dataclass(frozen=True)
class GalleryModel:
    """A model of the gallery: its predictions for the shown images.

    Attributes:
        label: The label of the model in the scores.
        cell: The id of the cell.
        seeds: Number of seeds that the scores are means over.
        masks: By condition, the number of each image's predicted mask; None if the model predicts no mask.
        results: By condition, one dict per image with the results of the model: the name of the predicted `activity`, and the stored
            values of the metrics that the gallery shows. Keys of a task that the model does not solve are absent.
    """

    label: str
    cell: str
    seeds: int
    masks: Mapping[str, Sequence[int | None]]
    results: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class GalleryDataset:
    """The images of a dataset and the predictions of models.

    Attributes:
        title: The title of the dataset.
        classes: Names and CSS colours of the classes, without the background.
        severities: The shown severities.
        images: The shown test images.
        models: The shown models.
    """

    title: str
    classes: Sequence[tuple[str, str]]
    severities: Sequence[int]
    images: Sequence[GalleryImage]
    models: Sequence[GalleryModel]


@dataclass(frozen=True)
class Gallery:
    """The gallery of test images.

    A condition is written "<corruption>/<severity>"; the condition of clean images is "/0".

    Attributes:
        datasets: The datasets with their images and models.
        pictures: The pictures that the numbers refer to.
        missing: Cells that the gallery cannot show, each with the reason.
        note: Sentences for the reader about the shown images.
    """

    datasets: Sequence[GalleryDataset]
    pictures: Pictures
    missing: Sequence[tuple[str, str]] = ()
    note: str = ""


def condition_key(corruption: str, severity: int) -> str:
    """Return the key of a condition on the page."""
    return f"{corruption}/{severity}"


def css_colour(colour: Sequence[int]) -> str:
    """Return an RGB colour in CSS notation."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)
