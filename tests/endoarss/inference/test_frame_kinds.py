"""Frames are prepared as training frames were, and what looks unlike them is said."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corruptions.pictures import Pixels, resize_image
from endoarss.errors import SettingsError
from endoarss.inference.frame_kinds import FrameKinds
from endoarss.inference.preprocessing import RESIZING, SIDES, Crop, Preprocessing, dark_borders

SIZE = 42
OFFICIAL = Crop((1920, 1080), (320, 1600), (28, 1052))
NO_BORDER = ((0.0, 0.0),) * 4
DA_VINCI = Preprocessing(("endovis2017",), ((1280, 1024),), NO_BORDER, OFFICIAL)
OWN = Preprocessing(("plain",), ((640, 480), (800, 600)), NO_BORDER, None)


def frame(width: int, height: int, border: tuple[int, int, int, int] = (0, 0, 0, 0), value: int = 15) -> Pixels:
    """Noise of middle brightness inside a border: left, top, right and bottom in pixels."""
    # A few noise values are repeated, because frames are made before any test runs.
    noise = np.random.default_rng(width + height).integers(60, 200, 65521, np.uint8)
    pixels = np.resize(noise, (height, width, 3))
    left, top, right, bottom = border
    pixels[:top], pixels[height - bottom :], pixels[:, :left], pixels[:, width - right :] = value, value, value, value
    return pixels


def raw(scale: int = 1) -> Pixels:
    """A frame with the border of raw EndoVis 2017 frames, shrunk by a whole number."""
    return frame(1920, 1080, (320, 28, 320, 28))[::scale, ::scale]


@pytest.mark.parametrize(
    ("known", "pixels", "words"),
    [
        (DA_VINCI, frame(1280, 1024), None),
        (DA_VINCI, frame(640, 512), None),
        (
            DA_VINCI,
            raw(),
            "frames of 1920x1080 have the dark border of raw EndoVis 2017 frames: they are cropped to rows 28 to 1052",
        ),
        (
            DA_VINCI,
            raw(4),
            "frames of 480x270 have the dark border of raw EndoVis 2017 frames: they are cropped to rows 7 to 263",
        ),
        (DA_VINCI, np.zeros((1080, 1920, 3), np.uint8), None),
        (
            DA_VINCI,
            frame(1920, 1080),
            "their aspect ratio is 1.78, expected 1.25; they lack the dark border of raw EndoVis 2017 frames, which would be "
            "cropped. They are resized to 42x42 without cropping.",
        ),
        # A 4:3 recording between black bars has no border above and below, so cropping would cut the scene.
        (DA_VINCI, frame(1920, 1080, (240, 0, 240, 0)), "without cropping"),
        (DA_VINCI, frame(1920, 1080, (400, 0, 400, 0)), "without cropping"),
        (DA_VINCI, frame(720, 576, (60, 0, 0, 0)), "their dark border takes 7% at the left (expected 0%)"),
        (DA_VINCI, frame(40, 32), "they are smaller than the model's input of 42x42"),
        (OWN, frame(640, 480), None),
        (OWN, frame(320, 240), None),
        (
            OWN,
            raw(4),
            "do not look like the training frames (640x480, 800x600 of plain): their aspect ratio is 1.78, expected 1.33",
        ),
        (OWN, frame(640, 480, (0, 48, 0, 96)), "takes 10% at the top (expected 0%), 19% at the bottom (expected 0%)"),
        (
            OWN,
            frame(640, 480, (0, 0, 40, 0), value=3),
            "takes 5% at the right (expected 0%). This border is not cropped.",
        ),
        (OWN, frame(640, 480, (0, 0, 40, 0), value=40), None),
        (OWN, np.zeros((480, 640, 3), np.uint8), None),
        (
            Preprocessing(("plain",), ((640, 480),), ((0.1, 0.2), *NO_BORDER[1:]), None),
            frame(640, 480),
            "their dark border takes 0% at the left (expected 10% to 20%)",
        ),
    ],
)
def test_what_looks_unlike_the_training_frames_is_said_once(
    known: Preprocessing, pixels: Pixels, words: str | None
) -> None:
    kinds = FrameKinds(known, SIZE)
    said = [kinds.prepare(pixels)[2] for _ in range(3)]
    notes = [note for note in (*said, *kinds.finish()) if note]
    assert said[1:] == ["", ""]
    if words is None:
        assert notes == []
    else:
        assert words in " ".join(notes) and len(set(notes)) == len(notes) <= 2
    (kind,) = kinds.summary()
    assert kind["count"] == 3 and kind["notes"] == notes


def test_a_video_that_begins_in_the_dark_is_told_by_its_first_light_frame() -> None:
    kinds = FrameKinds(DA_VINCI, SIZE)
    notes = [kinds.prepare(pixels)[2] for pixels in (np.zeros((540, 960, 3), np.uint8), frame(960, 540))]
    assert notes[0] == "" and "they lack the dark border" in notes[1] and "without cropping" in notes[1]


def test_a_dark_moment_is_no_border() -> None:
    """A border is there in every frame; a shadow, a black frame and a fade are not."""
    kinds = FrameKinds(OWN, SIZE)
    for pixels in (frame(640, 480, (200, 0, 0, 0)), np.zeros((480, 640, 3), np.uint8), frame(640, 480, (0, 0, 0, 100))):
        assert kinds.prepare(pixels)[2] == ""
    assert kinds.finish() == []


@given(st.lists(st.integers(0, 12), min_size=4, max_size=4), st.integers(33, 60), st.integers(33, 60))
def test_borders_are_measured_to_the_pixel(border: list[int], width: int, height: int) -> None:
    left, top, right, bottom = border
    found = dark_borders(frame(width, height, (left, top, right, bottom)))
    assert found == pytest.approx((left / width, top / height, right / width, bottom / height))
    assert dark_borders(np.full((height, width, 3), 20, np.uint8)) is None


GOOD = DA_VINCI.to_dict()


@pytest.mark.parametrize(
    "given_header",
    [
        [],
        "crop",
        {},
        {**GOOD, "resizing": "by magic"},
        {**GOOD, "sizes": []},
        {**GOOD, "sizes": [[0, 5]]},
        {**GOOD, "sizes": [[10]]},
        {**GOOD, "sizes": [["a", "b"]]},
        {**GOOD, "sizes": [[1.5, 2]]},
        {**GOOD, "borders": {}},
        {**GOOD, "borders": {side: [0, float("nan")] for side in SIDES}},
        {**GOOD, "borders": {side: [0, 2] for side in SIDES}},
        {**GOOD, "crop": {"recorded": [10, 10], "columns": [0, 11], "rows": [0, 5]}},
        {**GOOD, "crop": {"recorded": [10, 10], "columns": [5, 5], "rows": [0, 5]}},
        {**GOOD, "crop": {"recorded": [0, 10], "columns": [0, 5], "rows": [0, 5]}},
        {**GOOD, "crop": 7},
    ],
)
def test_a_header_that_cannot_be_used_is_refused(given_header: Any) -> None:
    with pytest.raises(
        SettingsError,
        match="m.safetensors: the entry `preprocessing` of its header cannot be used: .+: ",
    ):
        Preprocessing.from_dict(given_header, "m.safetensors")


def test_resizing_is_named_as_it_is() -> None:
    """The rule that checkpoints name is what `resize_image` does: a change of one is a change of both."""
    assert RESIZING == "by areas where both sides shrink, else bilinear"
    for width, height, mode in ((100, 80, cv2.INTER_AREA), (100, 30, cv2.INTER_LINEAR), (30, 30, cv2.INTER_LINEAR)):
        pixels = frame(width, height)
        np.testing.assert_array_equal(resize_image(pixels, SIZE), cv2.resize(pixels, (SIZE, SIZE), interpolation=mode))
