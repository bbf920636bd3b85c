"""Endoscopic submucosal dissection (ESD) scenes: three activities, six segmented classes.

marking      dots of coagulation around a lesion, and the electric knife that set them
injection    the circumferential incision along the dots, with the lifted cushion (the authors' second activity)
dissection   a flap of mucosa held up by the FPCW forceps, and the FPCW knife below it
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sources.synthetic.instruments import Pose, draw_instrument, reach
from pipeline.sources.synthetic.scenes import to_uint8
from pipeline.sources.synthetic.tissue import Image, TissueStyle, blend, endoscope_light, fractal_noise, render_tissue

# Values of the released masks (spec: 0 and 2 to 7).
MARKING_AREA, ELECTRIC_KNIFE, INCISION_AREA, MUCOSAL_FLAP, FPCW_FORCEPS, FPCW_KNIFE = 2, 3, 4, 5, 6, 7
ACTIVITIES = ("marking", "injection", "dissection")


def render_esd_scene(
    activity: str, style: TissueStyle, height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one frame of an ESD procedure.

    Args:
        activity: one of `ACTIVITIES`.
        style: the mucosa of the video.
        height, width: size in pixels.
        rng: decides poses and details.

    Returns:
        uint8 RGB (H, W, 3) and uint8 mask (H, W) with the released values.

    Raises:
        KeyError: if the activity is not one of the three.
    """
    painters: dict[str, Callable[[Image, NDArray[np.uint8], np.random.Generator], None]] = {
        "marking": _paint_marking,
        "injection": _paint_injection,
        "dissection": _paint_dissection,
    }
    image = render_tissue(style, height, width, (rng.uniform(-1, 1) * width / 9, rng.uniform(-1, 1) * height / 9))
    image = _lumen(image, rng)
    mask = np.zeros((height, width), np.uint8)
    painters[activity](image, mask, rng)
    return to_uint8(_octagon(endoscope_light(image)), rng), mask


def _lumen(image: Image, rng: np.random.Generator) -> Image:
    """Pale mucosa with circular folds that run towards a dark lumen near the edge of the picture."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    angle = rng.uniform(0, 2 * np.pi)
    centre = np.array([width / height / 2 + 0.75 * np.cos(angle), 0.5 + 0.6 * np.sin(angle)])
    distance = np.hypot(x - centre[0], y - centre[1])
    pale = 0.55 * image + 0.45 * np.array([0.90, 0.60, 0.50], np.float32)
    folds = 1 + 0.10 * np.sin(distance * 26 + 0.8 * fractal_noise(rng, height, width, 3, 2))
    return np.clip(pale * folds[..., None] * np.clip(distance * 2.4, 0.15, 1)[..., None], 0, 1).astype(np.float32)


def _octagon(image: Image) -> Image:
    """Cut the corners, as endoscope processors do."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    cut = height * 0.14
    corner = np.minimum(x, width - 1 - x) + np.minimum(y, height - 1 - y) < cut
    return np.where(corner[..., None], np.float32(0.02), image)


def _blob(image: Image, x: float, y: float, radius: float, rng: np.random.Generator) -> Image:
    """Relative distance of each pixel from a wobbly round outline: below 1 inside."""
    rows, columns = np.indices(image.shape[:2], np.float32)
    turn = np.arctan2(rows - y, columns - x)
    wobble = sum(rng.uniform(0.02, 0.08) * np.cos(k * turn + rng.uniform(0, 6)) for k in (2, 3, 5))
    return (np.hypot(columns - x, rows - y) / (radius * (1 + wobble))).astype(np.float32)


def _edge(distance: Image, softness: float = 0.08) -> Image:
    return np.clip((1 - distance) / softness + 0.5, 0, 1)


def _lesion_centre(image: Image, rng: np.random.Generator) -> tuple[float, float, float]:
    height, width = image.shape[:2]
    return width * rng.uniform(0.40, 0.60), height * rng.uniform(0.36, 0.52), height * rng.uniform(0.24, 0.31)


def _paint_dots(image: Image, x: float, y: float, radius: float, share: float, rng: np.random.Generator) -> None:
    start = rng.uniform(0, 2 * np.pi)
    for turn in start + np.arange(0, 2 * np.pi * share, 0.42):
        dot = _blob(image, x + radius * np.cos(turn), y + radius * np.sin(turn), image.shape[0] * 0.021, rng)
        blend(image, 0.9 * _edge(dot, 0.4), (0.96, 0.93, 0.84))
        blend(image, 0.9 * _edge(dot / 0.55, 0.5), (0.30, 0.18, 0.12))


def _place(
    image: Image,
    mask: NDArray[np.uint8],
    kind: str,
    value: int,
    tip: tuple[float, float],
    angle: float,
    opening: float = 0.0,
) -> None:
    unit = image.shape[0] / 256
    x = tip[0] - np.cos(angle) * reach(kind) * unit
    y = tip[1] - np.sin(angle) * reach(kind) * unit
    mask[draw_instrument(image, kind, Pose(x, y, angle, opening)) > 0] = value


def _paint_marking(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    x, y, radius = _lesion_centre(image, rng)
    area = _blob(image, x, y, radius * 1.08, rng)
    lesion = _blob(image, x, y, radius * 0.72, rng)
    blend(image, 0.35 * _edge(lesion, 0.5), (0.74, 0.24, 0.22))
    _paint_dots(image, x, y, radius, rng.uniform(0.75, 1.0), rng)
    mask[area < 1] = MARKING_AREA
    turn = rng.uniform(0, 2 * np.pi)
    tip = (x + radius * np.cos(turn), y + radius * np.sin(turn))
    _place(image, mask, "electric_knife", ELECTRIC_KNIFE, tip, -np.pi / 2 + rng.uniform(-0.6, 0.6))


def _paint_injection(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    x, y, radius = _lesion_centre(image, rng)
    cushion = _blob(image, x, y, radius * 0.95, rng)
    blend(image, 0.45 * _edge(cushion, 0.5), (0.45, 0.52, 0.72))
    blend(image, 0.5 * _edge(_blob(image, x - radius * 0.3, y - radius * 0.3, radius * 0.2, rng), 1.2), (1, 1, 1))
    _paint_dots(image, x, y, radius * 1.3, 1.0, rng)
    ring = np.abs(_blob(image, x, y, radius, rng) - 1.0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = (np.arctan2(rows - y, columns - x) - rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
    cut = (ring < 0.17) & (turn < rng.uniform(3.2, 5.6))
    cover = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), height / 200)
    blend(image, 0.9 * cover, (0.50, 0.06, 0.08))
    blend(image, 0.75 * cover * (ring < 0.08), (0.62, 0.72, 0.90))
    mask[cut] = INCISION_AREA
    tip = (x + radius * rng.uniform(0.2, 0.8), y + radius * rng.uniform(0.2, 0.8))
    _place(image, mask, "electric_knife", ELECTRIC_KNIFE, tip, -np.pi / 2 + rng.uniform(-0.6, 0.6))


def _paint_dissection(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    x, y, radius = _lesion_centre(image, rng)
    bed = _blob(image, x, y + radius * 0.55, radius * 1.25, rng)
    blend(image, 0.9 * _edge(bed, 0.1), (0.58, 0.66, 0.82))
    fibres = np.abs(fractal_noise(rng, height, width, 14, 3)) < 0.22
    blend(image, 0.5 * _edge(bed, 0.1) * fibres, (0.86, 0.30, 0.30))
    mask[bed < 1] = INCISION_AREA
    flap = _blob(image, x, y - radius * 0.35, radius * 1.15, rng)
    rows = np.mgrid[0:height, 0:width][0].astype(np.float32)
    lifted = flap + 0.5 * np.clip((rows - y - radius * 0.1) / radius, 0, None)
    image *= (1 - 0.45 * np.exp(-(((lifted - 1.06) / 0.10) ** 2)))[..., None]
    blend(image, 0.95 * _edge(lifted, 0.05), (0.93, 0.70, 0.56))
    blend(image, 0.6 * np.exp(-(((lifted - 0.9) / 0.07) ** 2)), (0.98, 0.86, 0.76))
    mask[lifted < 1] = MUCOSAL_FLAP
    side = rng.choice([-1, 1])
    tip = (x + side * radius * 0.35, y - radius * 0.1)
    _place(image, mask, "fpcw_forceps", FPCW_FORCEPS, tip, -np.pi / 2 + side * rng.uniform(-0.75, -0.35), 0.3)
    tip = (x - side * radius * 0.45, y + radius * rng.uniform(0.45, 0.75))
    _place(image, mask, "fpcw_knife", FPCW_KNIFE, tip, -np.pi / 2 + side * rng.uniform(0.25, 0.6))
