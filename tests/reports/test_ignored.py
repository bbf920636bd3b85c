"""Pixels of no class in figures and on the page: grey, named in the legend, without a number."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from endoarss import metrics
from reports.figures.segmentation import Gallery, draw_segmentation
from reports.figures.style import overlay
from reports.page import Pictures
from reports.statistics.ignored import IGNORED, IGNORED_COLOUR

PALETTE = ((0, 0, 0), (255, 0, 0))


def test_the_value_is_that_of_the_metrics() -> None:
    assert IGNORED == metrics.IGNORED


def test_an_overlay_paints_them_grey() -> None:
    image = np.full((1, 3, 3), 200, np.uint8)
    painted = overlay(image, np.array([[0, 1, IGNORED]], np.uint8), PALETTE)
    assert painted[0].tolist() == [[200] * 3, [230, 90, 90], [round(0.45 * 200 + 0.55 * 128)] * 3]


def test_the_page_keeps_them_as_grey_and_the_background_as_nothing() -> None:
    pictures = Pictures()
    number = pictures.add_mask(np.array([[0, 1, IGNORED]], np.uint8), PALETTE)
    stored = Image.open(io.BytesIO(base64.b64decode(pictures.urls[number].split(",", 1)[1])))
    assert np.asarray(stored.convert("RGBA"))[0].tolist() == [[0, 0, 0, 0], [255, 0, 0, 255], [*IGNORED_COLOUR, 255]]


def test_figure_5_names_them_last_and_gives_them_no_number(tmp_path: Path) -> None:
    truth = np.zeros((2, 40, 40), np.uint8)
    truth[:, 10:25, 10:25], truth[:, 30:] = 1, IGNORED
    images = np.full((2, 40, 40, 3), 90, np.uint8)
    made = []
    for masks in (truth, np.where(truth == IGNORED, 0, truth).astype(np.uint8)):
        gallery = Gallery("Toy", ("background", "tool"), PALETTE, images, {"truth": masks}, ["best", "worst"])
        draw_segmentation([gallery], "mark", tmp_path / "f.png", tmp_path / "f.pdf")
        made.append((gallery, np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).astype(int)))
    (with_ignored, grey), (without, plain) = made
    assert with_ignored.shown == [1, IGNORED] and without.shown == [1]
    assert [with_ignored.name_of(i) for i in with_ignored.shown] == ["tool", "ignored"]

    def count(picture: np.ndarray) -> int:
        """Pixels of the legend's grey."""
        return int((picture == IGNORED_COLOUR).all(axis=2).sum())

    assert count(grey) > count(plain) + 50
