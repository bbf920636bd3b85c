"""Figures are byte-identical from the same results; the page is self-contained and says what is synthetic."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports import figures, page

MARK = "SYNTHETIC DATA. Study toy"
PALETTE = [(0, 0, 0), (255, 0, 0), (0, 0, 255)]


def gallery(notes: int = 2) -> figures.Gallery:
    rng = np.random.default_rng(0)
    masks = {name: rng.integers(0, 3, (notes, 20, 20), np.uint8) for name in ("truth", "A-net\nHPS")}
    images = rng.integers(0, 256, (notes, 20, 20, 3), np.uint8)
    return figures.Gallery("Toy", ["background", "x", "y"], PALETTE, images, masks, ["idle"] * notes)


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for attempt in "ab":
        png, pdf = tmp_path / f"{attempt}.png", tmp_path / f"{attempt}.pdf"
        figures.draw_segmentation([gallery(), gallery(1)], MARK, png, pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG") and written[0][1].startswith(b"%PDF")


def test_overlay_leaves_the_background() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    painted = figures.overlay(image, np.array([[0, 1], [2, 0]], np.uint8), PALETTE)
    assert painted[0, 0].tolist() == [100, 100, 100] and painted[0, 1].tolist() == [185, 45, 45]


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_page_is_whole_and_honest(synthetic: bool, tmp_path: Path) -> None:
    png = tmp_path / "f.png"
    figures.draw_segmentation([gallery()], MARK, png, tmp_path / "f.pdf")
    table = pd.DataFrame({"mIoU (%)": [12.345, np.nan]}, index=pd.Index(["<b>A</b>", "B"], name="Model"))
    sections = [
        page.table_section("t", "Table", "Table & more", "A note.", table),
        page.figure_section("f", "Figure", "Figure", MARK, png),
    ]
    facts = {"title": "Toy", "study": "toy", "protocol": "standard", "seeds": [0, 1], "cells": 2, "resolution": 84}
    text = page.render_page(sections, table, {**facts, "synthetic": synthetic})
    assert ("Synthetic data." in text) == synthetic
    assert "12.35" in text or "12.34" in text
    assert "&lt;b&gt;A&lt;/b&gt;" in text and "<b>A</b>" not in text, "names are escaped"
    assert not re.search(r"(src|href)=\"(https?:)?//", text), "nothing is fetched"
    assert text.count("data:image/png;base64,") == 1
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{anchor}"' in text
