"""Draws the instruments of generated scenes: seven kinds with a class, the stapler, which has none, and three kinds of ESD.

Each kind is a set of shaded outlines in its own coordinates: the joint of the tip is the origin, the jaws point along +x, and the shaft
leaves the image along -x. The unit is a pixel of an image 256 pixels high.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sources.synthetic.tissue import Image

SHAFT, WRIST, CLASPER = 1, 2, 3
# The outlines are enlarged by this factor, because instruments of the challenges fill more of the image.
_MAGNIFICATION = 1.3
Outline = NDArray[np.float64]
Colour = tuple[float, float, float]

_STEEL: Colour = (0.74, 0.76, 0.80)
_DARK: Colour = (0.17, 0.18, 0.21)
_HOLE: Colour = (0.10, 0.08, 0.08)


@dataclass(frozen=True)
class ShadedOutline:
    """One outline of an instrument.

    Attributes:
        outline: corners, float64 (n, 2).
        part: id of the instrument part (shaft, wrist or clasper).
        colour: red, green and blue in [0, 1].
        half_width: half the width over which the outline is shaded like a cylinder.
    """

    outline: Outline
    part: int
    colour: Colour
    half_width: float


@dataclass(frozen=True)
class Pose:
    """The pose of an instrument: position of its joint (pixels), direction of its jaws and their opening (radians)."""

    x: float
    y: float
    angle: float
    opening: float = 0.0


def _turn(points: list[tuple[float, float]], angle: float, mirrored: bool = False) -> Outline:
    """Return points turned by an angle (radians), mirrored at the x axis before that if `mirrored`."""
    outline = np.array(points, float)
    if mirrored:
        outline[:, 1] *= -1
    cos, sin = np.cos(angle), np.sin(angle)
    return outline @ np.array([[cos, sin], [-sin, cos]])


def _bar(x0: float, x1: float, half_width: float, part: int, colour: Colour) -> ShadedOutline:
    outline = np.array([(x0, -half_width), (x1, -half_width), (x1, half_width), (x0, half_width)], float)
    return ShadedOutline(outline, part, colour, half_width)


def _jaws(points: list[tuple[float, float]], opening: float, colour: Colour, shade: float) -> list[ShadedOutline]:
    """Return two mirrored jaws, each opened by half the angle."""
    return [
        ShadedOutline(_turn(points, opening / 2), CLASPER, colour, shade),
        ShadedOutline(_turn(points, -opening / 2, mirrored=True), CLASPER, colour, shade),
    ]


def _continuum_body(colour: Colour) -> list[ShadedOutline]:
    """Return a flexible robot arm of short segments, as flexible parallel continuum instruments have it."""
    segments = []
    for index in range(40):
        shade = 1.0 if index % 2 else 0.72
        tint = (colour[0] * shade, colour[1] * shade, colour[2] * shade)
        segments.append(_bar(-12 - 12 * (index + 1), -12 - 12 * index, 12, SHAFT, tint))
    return segments


_BIPOLAR_JAW = [(0.0, 0.0), (2.0, 8.0), (22.0, 12.0), (44.0, 3.0), (46.0, 0.5), (40.0, 0.5), (22.0, 5.0), (8.0, 0.0)]
_PROGRASP_JAW = [(0.0, 0.0), (0.0, 11.0), (30.0, 13.0), (39.0, 8.0), (40.0, 0.8), (4.0, 0.5)]
_PROGRASP_WINDOW = [(10.0, 3.5), (10.0, 8.5), (28.0, 9.5), (30.0, 4.0)]
_DRIVER_JAW = [(0.0, 0.0), (0.0, 12.0), (12.0, 11.0), (27.0, 4.0), (28.0, 0.6), (2.0, 0.6)]
_DRIVER_INSERT = [(6.0, 0.6), (6.0, 4.0), (24.0, 2.5), (26.0, 0.6)]
_SCISSOR_BLADE = [(0.0, -2.0), (2.0, 6.0), (16.0, 9.0), (34.0, 16.0), (37.0, 16.0), (28.0, 6.0), (14.0, 0.0)]
_PROBE_HEAD = [(-6.0, -17.0), (34.0, -17.0), (44.0, -8.0), (44.0, 8.0), (34.0, 17.0), (-6.0, 17.0)]
_PROBE_FACE = [(0.0, 8.0), (38.0, 8.0), (34.0, 15.0), (0.0, 15.0)]
_SUCTION_TUBE = [(-22.0, -6.5), (34.0, -6.5), (38.0, 0.0), (34.0, 6.5), (-22.0, 6.5)]
_CLIP_BLADE = [(0.0, 4.0), (0.0, 13.0), (34.0, 17.0), (46.0, 15.0), (46.0, 9.0), (32.0, 9.0), (12.0, 6.0)]
_STAPLER_JAW = [(0.0, 1.5), (0.0, 15.0), (66.0, 13.0), (72.0, 6.0), (70.0, 1.5)]
_KNIFE_WIRE = [(0.0, -2.5), (26.0, -2.5), (26.0, 2.5), (0.0, 2.5)]
_FPCW_JAW = [(0.0, 0.0), (0.0, 10.0), (24.0, 11.0), (32.0, 4.0), (32.0, 0.8)]
_FPCW_HOOK = [(0.0, -3.0), (28.0, -3.0), (28.0, 9.0), (22.0, 9.0), (22.0, 3.0), (0.0, 3.0)]

# For each kind, a function that returns its outlines for an opening of the jaws (radians).
KINDS: dict[str, Callable[[float], list[ShadedOutline]]] = {
    "bipolar_forceps": lambda opening: [
        _bar(-600, -26, 13, SHAFT, _DARK),
        _bar(-27, 4, 11, WRIST, (0.55, 0.57, 0.62)),
        *_jaws(_BIPOLAR_JAW, opening + 0.06, (0.80, 0.82, 0.86), 9),
    ],
    "prograsp_forceps": lambda opening: [
        _bar(-600, -30, 14, SHAFT, (0.22, 0.23, 0.25)),
        _bar(-31, 4, 13, WRIST, (0.46, 0.47, 0.49)),
        *_jaws(_PROGRASP_JAW, opening + 0.04, (0.62, 0.63, 0.66), 12),
        *_jaws(_PROGRASP_WINDOW, opening + 0.04, _HOLE, 30),
    ],
    "large_needle_driver": lambda opening: [
        _bar(-600, -24, 14, SHAFT, _DARK),
        _bar(-25, 3, 13, WRIST, (0.66, 0.58, 0.40)),
        *_jaws(_DRIVER_JAW, opening + 0.04, (0.72, 0.73, 0.74), 11),
        *_jaws(_DRIVER_INSERT, opening + 0.04, (0.80, 0.66, 0.30), 30),
    ],
    "monopolar_curved_scissors": lambda opening: [
        _bar(-600, -40, 13, SHAFT, _DARK),
        _bar(-41, 2, 13, WRIST, (0.72, 0.42, 0.18)),
        ShadedOutline(_turn(_SCISSOR_BLADE, 0.10 + opening / 2), CLASPER, (0.86, 0.87, 0.90), 8),
        ShadedOutline(_turn(_SCISSOR_BLADE, -0.25 - opening / 2), CLASPER, (0.70, 0.72, 0.76), 8),
    ],
    "ultrasound_probe": lambda opening: [
        _bar(-600, -34, 8, SHAFT, (0.86, 0.86, 0.82)),
        _bar(-36, -4, 14, WRIST, (0.36, 0.50, 0.66)),
        ShadedOutline(np.array(_PROBE_HEAD), CLASPER, (0.82, 0.86, 0.90), 18),
        ShadedOutline(np.array(_PROBE_FACE), CLASPER, (0.25, 0.30, 0.36), 40),
    ],
    "suction": lambda opening: [
        _bar(-600, -20, 8, SHAFT, (0.66, 0.68, 0.72)),
        ShadedOutline(np.array(_SUCTION_TUBE), CLASPER, (0.84, 0.86, 0.88), 7),
        *(replace(_bar(x - 3, x + 3, 2.5, CLASPER, _HOLE), half_width=30) for x in (2.0, 13.0, 24.0)),
    ],
    "clip_applier": lambda opening: [
        _bar(-600, -24, 14, SHAFT, (0.24, 0.25, 0.30)),
        _bar(-26, 6, 14, WRIST, (0.35, 0.62, 0.60)),
        *_jaws(_CLIP_BLADE, opening * 0.4, (0.55, 0.78, 0.76), 10),
    ],
    "stapler": lambda opening: [
        _bar(-600, -20, 17, SHAFT, (0.90, 0.90, 0.88)),
        _bar(-22, 4, 17, WRIST, (0.30, 0.45, 0.35)),
        *_jaws(_STAPLER_JAW, 0.12 + opening * 0.3, (0.82, 0.83, 0.80), 16),
    ],
    "electric_knife": lambda opening: [
        _bar(-600, 0, 9, SHAFT, (0.92, 0.93, 0.90)),
        _bar(-16, 0, 9, WRIST, (0.30, 0.55, 0.75)),
        ShadedOutline(np.array(_KNIFE_WIRE), CLASPER, _STEEL, 4),
    ],
    "fpcw_forceps": lambda opening: [
        *_continuum_body((0.78, 0.80, 0.84)),
        _bar(-13, 3, 12, WRIST, (0.50, 0.52, 0.56)),
        *_jaws(_FPCW_JAW, opening + 0.2, (0.88, 0.89, 0.92), 10),
    ],
    "fpcw_knife": lambda opening: [
        *_continuum_body((0.82, 0.77, 0.64)),
        _bar(-13, 3, 12, WRIST, (0.58, 0.50, 0.34)),
        ShadedOutline(np.array(_FPCW_HOOK), CLASPER, (0.92, 0.90, 0.82), 5),
    ],
}


def draw_instrument(image: Image, kind: str, pose: Pose) -> NDArray[np.uint8]:
    """Draw an instrument and its shadow onto `image` in place.

    Args:
        image: float32 RGB (H, W, 3) in [0, 1].
        kind: a key of `KINDS`.
        pose: pose of the instrument.

    Returns:
        uint8 (H, W): the part at each pixel (1 shaft, 2 wrist, 3 clasper), 0 outside the instrument.
    """
    height, width = image.shape[:2]
    unit = height / 256 * _MAGNIFICATION
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    parts = np.zeros((height, width), np.uint8)
    fine = 4  # sub-pixel bits of OpenCV's fixed-point coordinates

    def place(outline: Outline, offset: float = 0.0) -> Outline:
        return outline @ np.array([[cos, sin], [-sin, cos]]) * unit + (pose.x + offset, pose.y + offset)

    def fill(stencil: NDArray[np.uint8], placed: Outline, left: int = 0, top: int = 0) -> None:
        points = np.round((placed - (left, top)) * 2**fine).astype(np.int32)
        cv2.fillPoly(stencil, [points], 255, cv2.LINE_AA, fine)

    outlines = KINDS[kind](pose.opening)
    shadow = np.zeros((height, width), np.uint8)
    for shaded in outlines:
        fill(shadow, place(shaded.outline, 7 * unit))
    image *= 1 - 0.45 / 255 * cv2.GaussianBlur(shadow, (0, 0), 5 * unit).astype(np.float32)[..., None]

    for shaded in outlines:
        placed = place(shaded.outline)
        left, top = np.clip(np.floor(placed.min(axis=0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(placed.max(axis=0)).astype(int) + 1, 0, (width, height))
        if left >= right or top >= bottom:
            continue  # completely outside the image
        stencil = np.zeros((bottom - top, right - left), np.uint8)
        fill(stencil, placed, left, top)
        cover = stencil.astype(np.float32) / 255
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        along = ((x - pose.x) * cos + (y - pose.y) * sin) / unit
        across = (-(x - pose.x) * sin + (y - pose.y) * cos) / unit
        centre = 0.0 if shaded.part != CLASPER else float(shaded.outline[:, 1].mean())
        round_off = np.clip((across - centre) / shaded.half_width, -1, 1)
        shade = 0.40 + 0.60 * np.sqrt(1 - 0.92 * round_off**2)
        gleam = 0.55 * np.exp(-(((round_off + 0.35) / 0.16) ** 2)) * (0.6 if shaded.part == SHAFT else 0.8)
        rings = 0.06 * (np.sin(along * 0.9) > 0.9) if shaded.part == WRIST else 0.0
        metal = np.clip(np.array(shaded.colour, np.float32) * (shade - rings)[..., None] + 0.5 * gleam[..., None], 0, 1)
        region = image[top:bottom, left:right]
        region += cover[..., None] * (metal - region)
        parts[top:bottom, left:right][cover > 0.5] = shaded.part
    return parts


def reach(kind: str) -> float:
    """Return the distance from the joint to the foremost point of a kind, in pixels of an image 256 pixels high."""
    return float(_MAGNIFICATION * max(shaded.outline[:, 0].max() for shaded in KINDS[kind](0.0)))
