"""Figures of the datasets themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reports.figures import datasets as dataset_figures
from reports.figures.datasets import Example


@pytest.fixture
def card() -> dict[str, Any]:
    return {
        "title": "Toy",
        "classes": ["background", "A class of a rather long name", "B"],
        "palette": [[0, 0, 0], [255, 0, 0], [0, 0, 255]],
        "activities": ["cut", "idle", "never"],
        "frames_by_activity": {"train": {"cut": 5, "idle": 3, "never": 0}, "test": {"cut": 1, "idle": 1, "never": 0}},
        "frames_with_class": {
            "train": {"A class of a rather long name": 4, "B": 0},
            "test": {"A class of a rather long name": 1, "B": 0},
        },
        "frames_with_class_by_activity": {
            "cut": {"A class of a rather long name": 5, "B": 0},
            "idle": {"A class of a rather long name": 0, "B": 0},
            "never": {"A class of a rather long name": 0, "B": 0},
        },
    }


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_contact_sheet_paints_masks_in_the_colour_of_their_class(card: dict[str, Any], tmp_path: Path) -> None:
    image, mask = np.full((40, 50, 3), 128, np.uint8), np.zeros((40, 50), np.uint8)
    mask[:, :25] = 1
    rows = {"A class of a rather long name": [Example(image, mask, "cut seq_1 (train)")] * 2, "B": []}
    for name in ("a.jpg", "b.jpg"):
        dataset_figures.draw_contact_sheet(card, rows, "SYNTHETIC DATA.", tmp_path / name)
    found = pixels(tmp_path / "a.jpg")
    red = (found[..., 0] > found[..., 2] + 80).sum()
    grey = ((found - 128).max(axis=2) < 5).sum()
    assert red > 2000 and grey > 2000
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_every_figure_is_drawn_and_repeats(card: dict[str, Any], tmp_path: Path) -> None:
    bare = card | {"activities": [], "frames_by_activity": {}, "frames_with_class_by_activity": {}}
    similarities = {"Toy": {"random_by_activity": np.array([0.9, 0.99]), "by_sequence": np.array([0.5, 0.6, 0.7])}}
    for turn in ("a", "b"):
        files = [(tmp_path / f"{name}_{turn}.png", tmp_path / f"{name}_{turn}.pdf") for name in ("x", "y", "z")]
        dataset_figures.draw_balance([card, bare], "mark", *files[0])
        dataset_figures.draw_classes_by_activity([card], "mark", *files[1])
        dataset_figures.draw_leakage(similarities, "mark", *files[2])
    for first in tmp_path.glob("*_a.*"):
        assert first.read_bytes() == first.with_name(first.name.replace("_a.", "_b.")).read_bytes()
        if first.suffix == ".png":
            assert pixels(first).std() > 5


def test_an_activity_that_never_occurs_has_no_row(card: dict[str, Any]) -> None:
    assert dataset_figures._shown_activities(card) == ["cut", "idle"]
