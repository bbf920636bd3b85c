"""Draws a contact sheet: one image with every corruption (rows, by category) at every severity (columns)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from corruptions.api import sweep
from corruptions.catalogue import SEVERITIES, known_categories
from corruptions.command.apply import Settings
from corruptions.command.files import encode_png, write_whole
from corruptions.errors import CorruptionError
from corruptions.pictures import Pixels, read_image

# Colours: RGB, 0 to 255.
_TEXT, _SUBTITLE, _BACKGROUND = (34, 36, 42), (120, 122, 130), (255, 255, 255)
_CATEGORY_COLOURS = ((78, 108, 150), (84, 136, 120), (176, 92, 72), (124, 100, 150))  # one colour per category
_TILES = range(64, 1025)
_WORKING_SIZES = range(32, 6001)


def draw_sheet(
    path: Path,
    out: Path,
    names: Sequence[str],
    *,
    seed: int = 0,
    profile: str = "standard",
    backend: str = "auto",
    tile: int = 192,
    working_size: int = 224,
    field_of_view: str = "corrupt",
) -> None:
    """Write a contact sheet as PNG.

    Args:
        path: an image; its file name without suffix is its id.
        out: the file to write.
        names: the corruptions, in the order of the catalogue.
        seed: as for `corrupt`.
        profile: as for `corrupt`.
        backend: as for `corrupt`.
        tile: the longer side of a tile, in pixels.
        working_size: the image is reduced to this shorter side before it is corrupted; 0 keeps its size.
        field_of_view: as for `corrupt`.

    Raises:
        CorruptionError: if an argument cannot be used.
    """
    settings = Settings(tuple(names), SEVERITIES, seed, profile, backend, field_of_view=field_of_view)
    settings.check()
    _check(path, out, tile, working_size)
    try:
        image = _shrink(read_image(path), working_size)
    except CorruptionError as error:
        raise CorruptionError(f"{path}: {error}") from None
    height, width = image.shape[:2]
    sheet = _Sheet(settings.corruptions, tile * width // max(height, width), tile * height // max(height, width))
    sheet.draw_headings(path.name, f"{width} x {height} pixels when corrupted,  seed {seed},  profile {profile}")
    for name in tqdm(settings.corruptions, desc="sheet", unit="corruption", mininterval=0.5):
        corrupted = sweep(image, name, SEVERITIES, **settings.arguments(name), image_id=path.stem)
        sheet.draw_row(name, [image, *corrupted])
    write_whole(out, encode_png(np.asarray(sheet.page)), out.parent)


def _check(path: Path, out: Path, tile: int, working_size: int) -> None:
    """Refuse paths and sizes that cannot be used."""
    if out.suffix.lower() != ".png":
        raise CorruptionError(f"--out {out}: expected a name that ends in .png.")
    if out.resolve() == path.resolve():
        raise CorruptionError(f"--out {out}: it is the image itself. Choose another file.")
    if tile not in _TILES:
        raise CorruptionError(f"--size {tile}; expected {_TILES[0]} to {_TILES[-1]} pixels.")
    if working_size and working_size not in _WORKING_SIZES:
        raise CorruptionError(
            f"--working-size {working_size}; expected {_WORKING_SIZES[0]} to {_WORKING_SIZES[-1]} pixels, or 0."
        )


def _shrink(image: Pixels, shorter: int) -> Pixels:
    """Reduce an image so that its shorter side has this many pixels. A smaller image is not changed; if `shorter` is 0, no image is."""
    height, width = image.shape[:2]
    scale = shorter / min(height, width)
    if not 0 < scale < 1:
        return image
    return cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


class _Sheet:
    """A page with one row per corruption; lengths are given for tiles of 160 pixels and scale with the tiles."""

    def __init__(self, names: Sequence[str], tile_width: int, tile_height: int) -> None:
        self.names, self.tile = tuple(names), (max(1, tile_width), max(1, tile_height))
        self.unit = max(self.tile) / 160
        self.gap = self._px(4)
        self.left = self._px(24 + 20 + 14 + 14) + round(max(map(self._font(14).getlength, names)))
        self.tops, bottom = self._place_rows(self._px(118))
        right = self._column(len(SEVERITIES)) + self.tile[0]
        self.page = Image.new("RGB", (right + self._px(24), bottom + self._px(24)), _BACKGROUND)
        self.draw = ImageDraw.Draw(self.page)

    def _px(self, length: float) -> int:
        """Return a length in pixels."""
        return max(1, round(length * self.unit))

    def _font(self, size: float) -> ImageFont.FreeTypeFont:
        """Return Pillow's own font, at a readable size."""
        font = ImageFont.load_default(max(10.0, size * self.unit))
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise CorruptionError(
                "Pillow was built without FreeType, which draws the text. Install Pillow from its wheel."
            )
        return font

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the corruptions of the sheet by category."""
        groups = {c: tuple(name for name in self.names if name in members) for c, members in known_categories().items()}
        return {category: names for category, names in groups.items() if names}

    def _place_rows(self, top: int) -> tuple[dict[str, int], int]:
        """Return the top of each row, and the bottom of the last."""
        tops = {}
        for names in self.groups.values():
            for name in names:
                tops[name] = top
                top += self.tile[1] + self.gap
            top += self._px(14)
        return tops, top - self._px(14) - self.gap

    def _column(self, index: int) -> int:
        """Return the left edge of a column; a small gap separates the first column, the clean image, from the others."""
        return self.left + index * (self.tile[0] + self.gap) + (self._px(10) if index else 0)

    def draw_headings(self, title: str, subtitle: str) -> None:
        """Draw the title, the subtitle, the column headings, and the categories along the left side."""
        margin = self._px(24)
        self.draw.text((margin, self._px(42)), title, _TEXT, self._font(21), anchor="ls")
        self.draw.text((margin, self._px(66)), subtitle, _SUBTITLE, self._font(13), anchor="ls")
        for index, heading in enumerate(("clean", *(f"severity {severity}" for severity in SEVERITIES))):
            middle = self._column(index) + self.tile[0] // 2
            self.draw.text((middle, self._px(106)), heading, _TEXT, self._font(14), anchor="ms")
        for colour, (category, names) in zip(self._colours(), self.groups.items(), strict=True):
            self._draw_band(category, colour, self.tops[names[0]], self.tops[names[-1]] + self.tile[1])

    def _colours(self) -> list[tuple[int, int, int]]:
        """Return the colour of each category."""
        order = list(known_categories())
        return [_CATEGORY_COLOURS[order.index(category) % len(_CATEGORY_COLOURS)] for category in self.groups]

    def _draw_band(self, category: str, colour: tuple[int, int, int], top: int, bottom: int) -> None:
        """Draw a bar along the rows of a category, with its name."""
        band = Image.new("RGB", (bottom - top, self._px(20)), colour)
        middle = (band.width // 2, band.height // 2)
        ImageDraw.Draw(band).text(middle, category.upper(), _BACKGROUND, self._font(12), anchor="mm")
        self.page.paste(band.transpose(Image.Transpose.ROTATE_90), (self._px(24), top))

    def draw_row(self, name: str, images: Sequence[Pixels]) -> None:
        """Draw a corruption's name and its tiles, the clean image first."""
        top = self.tops[name]
        self.draw.text((self.left - self._px(14), top + self.tile[1] // 2), name, _TEXT, self._font(14), anchor="rm")
        for index, image in enumerate(images):
            shrinks = image.shape[0] > self.tile[1]
            tile = cv2.resize(image, self.tile, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
            self.page.paste(Image.fromarray(tile), (self._column(index), top))
