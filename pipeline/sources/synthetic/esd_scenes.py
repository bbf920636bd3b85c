"""Renders endoscopic submucosal dissection (ESD) scenes with three activities and six segmented classes.

marking      dots of coagulation around a lesion, and the electric knife that made them
injection    tissue lifted by injected dye, and the circumferential incision along the dots (the authors' second activity)
dissection   a flap of mucosa that the FPCW forceps hold up, and the FPCW knife below it

The activities overlap as in a real procedure: dots and dye remain visible after their activity, an incision may not have begun, a flap may
be small, and blood, dye, mucus and smoke occur in all activities. No single cue identifies the activity, so models differ in accuracy.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sources.synthetic.instruments import Pose, draw_instrument, reach
from pipeline.sources.synthetic.scenes import to_uint8
from pipeline.sources.synthetic.tissue import Image, TissueStyle, blend, endoscope_light, fractal_noise, render_tissue

# Values of the released masks, which are 0 for the background and 2 to 7.
MARKING_AREA, ELECTRIC_KNIFE, INCISION_AREA, MUCOSAL_FLAP, FPCW_FORCEPS, FPCW_KNIFE = 2, 3, 4, 5, 6, 7
ACTIVITIES = ("marking", "injection", "dissection")

_BLOOD = (0.50, 0.06, 0.08)
_DYE = (0.45, 0.52, 0.72)
_MUCUS = (0.93, 0.72, 0.58)
# The shares were tuned on the demo, so that its models are right on most frames and wrong on some.
_WITHOUT_INCISION = 0.4  # share of injection frames with dye, but without an incision
_DYED_EARLY = 0.3  # share of marking frames with dye in the tissue
_FIRST_CUT = 0.3  # share of dissection frames with the electric knife, a small flap and no forceps
_FORCEPS_IN_VIEW = 0.75  # share of the other dissection frames that show the forceps
_SMOKE = 0.35  # share of all frames
_STAIN = 0.45  # share of all frames, for each of the three stains, which are not in the mask


def render_esd_scene(
    activity: str, style: TissueStyle, height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one frame of an ESD procedure.

    Args:
        activity: one of `ACTIVITIES`.
        style: the mucosa of the video.
        height: height in pixels.
        width: width in pixels.
        rng: random generator of poses and details.

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
    image = _add_lumen(image, rng)
    _paint_stains(image, rng)
    mask = np.zeros((height, width), np.uint8)
    painters[activity](image, mask, rng)
    _paint_smoke(image, rng)
    return to_uint8(_cut_corners(endoscope_light(image)), rng), mask


def _add_lumen(image: Image, rng: np.random.Generator) -> Image:
    """Return pale mucosa with circular folds around a dark lumen near the edge of the image."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    angle = rng.uniform(0, 2 * np.pi)
    centre = np.array([width / height / 2 + 0.75 * np.cos(angle), 0.5 + 0.6 * np.sin(angle)])
    distance = np.hypot(x - centre[0], y - centre[1])
    pale = 0.55 * image + 0.45 * np.array([0.90, 0.60, 0.50], np.float32)
    folds = 1 + 0.10 * np.sin(distance * 26 + 0.8 * fractal_noise(rng, height, width, 3, 2))
    return np.clip(pale * folds[..., None] * np.clip(distance * 2.4, 0.15, 1)[..., None], 0, 1).astype(np.float32)


def _paint_stains(image: Image, rng: np.random.Generator) -> None:
    """Draw stains of blood, dye and mucus on the mucosa. They look like traces of an activity, but are not in the mask."""
    height, width = image.shape[:2]
    for colour in (_BLOOD, _DYE, _MUCUS):
        if rng.random() < _STAIN:
            x, y = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.9)
            spot = _blob(image, x, y, height * rng.uniform(0.07, 0.17), rng)
            blend(image, rng.uniform(0.4, 0.85) * _edge(spot, 0.4), colour)


def _paint_smoke(image: Image, rng: np.random.Generator) -> None:
    """Draw the smoke of coagulation over some frames; objects behind it stay in the mask."""
    if rng.random() < _SMOKE:
        density = 0.3 + 0.2 * fractal_noise(rng, image.shape[0], image.shape[1], 2, 3)
        blend(image, np.clip(density * rng.uniform(0.6, 1.3), 0, 0.6), (0.74, 0.74, 0.76))


def _cut_corners(image: Image) -> Image:
    """Cut off the corners, as endoscope processors do."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    cut = height * 0.14
    corner = np.minimum(x, width - 1 - x) + np.minimum(y, height - 1 - y) < cut
    return np.where(corner[..., None], np.float32(0.02), image)


def _blob(image: Image, x: float, y: float, radius: float, rng: np.random.Generator) -> Image:
    """Return each pixel's relative distance from the centre of an irregular round outline, below 1 inside it."""
    rows, columns = np.indices(image.shape[:2], np.float32)
    turn = np.arctan2(rows - y, columns - x)
    wobble = sum(rng.uniform(0.02, 0.08) * np.cos(k * turn + rng.uniform(0, 6)) for k in (2, 3, 5))
    return (np.hypot(columns - x, rows - y) / (radius * (1 + wobble))).astype(np.float32)


def _edge(distance: Image, softness: float = 0.08) -> Image:
    return np.clip((1 - distance) / softness + 0.5, 0, 1)


def _sample_lesion(image: Image, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the centre (x, y) and the radius of a lesion, in pixels."""
    height, width = image.shape[:2]
    return width * rng.uniform(0.30, 0.70), height * rng.uniform(0.30, 0.60), height * rng.uniform(0.20, 0.32)


def _paint_dots(image: Image, x: float, y: float, radius: float, share: float, rng: np.random.Generator) -> None:
    """Draw dots of coagulation along a section of a circle: pale, and charred in the middle."""
    pale, charred = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint8)
    size, fine = image.shape[0] * 0.021, 4  # sub-pixel bits of OpenCV's fixed-point coordinates
    for turn in rng.uniform(0, 2 * np.pi) + np.arange(0, 2 * np.pi * share, 0.42):
        distance = radius * rng.uniform(0.96, 1.04)
        dot = np.array([x + distance * np.cos(turn), y + distance * np.sin(turn)])
        centre = np.round(dot * 2**fine).astype(int).tolist()
        for layer, scale in ((pale, 1.0), (charred, 0.55)):
            cv2.circle(layer, centre, round(size * scale * 2**fine), 255, -1, cv2.LINE_AA, fine)
    for layer, colour in ((pale, (0.96, 0.93, 0.84)), (charred, (0.30, 0.18, 0.12))):
        blend(image, cv2.GaussianBlur(layer, (0, 0), size / 6).astype(np.float32) * (0.9 / 255), colour)


def _place_instrument(
    image: Image,
    mask: NDArray[np.uint8],
    kind: str,
    value: int,
    tip: tuple[float, float],
    angle: float,
    opening: float = 0.0,
) -> None:
    """Draw an instrument with its foremost point at `tip`, and write `value` into the mask at its pixels."""
    unit = image.shape[0] / 256
    x = tip[0] - np.cos(angle) * reach(kind) * unit
    y = tip[1] - np.sin(angle) * reach(kind) * unit
    mask[draw_instrument(image, kind, Pose(x, y, angle, opening)) > 0] = value


def _sample_direction(rng: np.random.Generator) -> float:
    """Draw the direction of an instrument that enters through the lower half of the image."""
    return float(-np.pi / 2 + rng.uniform(-0.9, 0.9))


def _paint_marking(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    x, y, radius = _sample_lesion(image, rng)
    lesion = _blob(image, x, y, radius * 0.72, rng)
    blend(image, rng.uniform(0.1, 0.35) * _edge(lesion, 0.5), (0.74, 0.24, 0.22))
    if rng.random() < _DYED_EARLY:
        _paint_cushion(image, x, y, radius, rng.uniform(0.1, 0.3), rng)
    _paint_dots(image, x, y, radius, rng.uniform(0.35, 1.0), rng)
    mask[_blob(image, x, y, radius * 1.08, rng) < 1] = MARKING_AREA
    turn = rng.uniform(0, 2 * np.pi)
    tip = (x + radius * np.cos(turn), y + radius * np.sin(turn))
    _place_instrument(image, mask, "electric_knife", ELECTRIC_KNIFE, tip, _sample_direction(rng))


def _paint_cushion(image: Image, x: float, y: float, radius: float, opacity: float, rng: np.random.Generator) -> None:
    """Draw the bulge of dyed tissue that an injection makes."""
    blend(image, opacity * _edge(_blob(image, x, y, radius * 0.95, rng), 0.5), _DYE)
    side = radius * rng.uniform(-0.4, 0.4)
    blend(image, opacity * _edge(_blob(image, x + side, y - radius * 0.3, radius * 0.2, rng), 1.2), (1.0, 1.0, 1.0))


def _paint_injection(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    x, y, radius = _sample_lesion(image, rng)
    _paint_cushion(image, x, y, radius, rng.uniform(0.2, 0.5), rng)
    if rng.random() < _WITHOUT_INCISION:
        _paint_dots(image, x, y, radius, rng.uniform(0.5, 1.0), rng)
        mask[_blob(image, x, y, radius * 1.08, rng) < 1] = MARKING_AREA
    else:
        _paint_dots(image, x, y, radius * 1.3, rng.uniform(0.3, 1.0), rng)
        _paint_incision(image, mask, x, y, radius, rng)
    tip = (x + radius * rng.uniform(-0.8, 0.8), y + radius * rng.uniform(0.2, 0.8))
    _place_instrument(image, mask, "electric_knife", ELECTRIC_KNIFE, tip, _sample_direction(rng))


def _paint_incision(
    image: Image, mask: NDArray[np.uint8], x: float, y: float, radius: float, rng: np.random.Generator
) -> None:
    """Draw an incision along a section of the outline: red edges, and dyed submucosa between them."""
    height, width = image.shape[:2]
    ring = np.abs(_blob(image, x, y, radius, rng) - 1.0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = (np.arctan2(rows - y, columns - x) - rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
    gape = rng.uniform(0.12, 0.19)
    cut = (ring < gape) & (turn < rng.uniform(1.6, 5.6))
    cover = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), height / 200)
    blend(image, 0.9 * cover, _BLOOD)
    blend(image, 0.75 * cover * (ring < gape / 2), (0.62, 0.72, 0.90))
    mask[cut] = INCISION_AREA


def _paint_dissection(image: Image, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    x, y, radius = _sample_lesion(image, rng)
    _paint_dots(image, x, y, radius * 1.3, rng.uniform(0.0, 0.8), rng)
    bed = _blob(image, x, y + radius * 0.45, radius * rng.uniform(0.85, 1.25), rng)
    bloody = rng.uniform(0.0, 0.7)
    dyed = np.array((0.58, 0.66, 0.82)) * (1 - bloody) + np.array((0.62, 0.20, 0.20)) * bloody
    blend(image, 0.9 * _edge(bed, 0.1), (float(dyed[0]), float(dyed[1]), float(dyed[2])))
    fibres = np.abs(fractal_noise(rng, height, width, 14, 3)) < 0.22
    blend(image, 0.5 * _edge(bed, 0.1) * fibres, (0.86, 0.30, 0.30))
    mask[bed < 1] = INCISION_AREA
    first_cut = rng.random() < _FIRST_CUT
    flap_radius = radius * (rng.uniform(0.35, 0.6) if first_cut else rng.uniform(0.6, 1.1))
    flap = _blob(image, x, y - radius * 0.45, flap_radius, rng)
    rows = np.mgrid[0:height, 0:width][0].astype(np.float32)
    lifted = flap + 0.5 * np.clip((rows - y - radius * 0.1) / radius, 0, None)
    image *= (1 - 0.45 * np.exp(-(((lifted - 1.06) / 0.10) ** 2)))[..., None]
    blend(image, rng.uniform(0.7, 0.95) * _edge(lifted, 0.05), _MUCUS)
    blend(image, 0.6 * np.exp(-(((lifted - 0.9) / 0.07) ** 2)), (0.98, 0.86, 0.76))
    mask[lifted < 1] = MUCOSAL_FLAP
    side = rng.choice([-1, 1])
    tip = (x - side * radius * rng.uniform(0.1, 0.6), y + radius * rng.uniform(0.3, 0.8))
    if first_cut:
        _place_instrument(image, mask, "electric_knife", ELECTRIC_KNIFE, tip, _sample_direction(rng))
        return
    _place_instrument(image, mask, "fpcw_knife", FPCW_KNIFE, tip, -np.pi / 2 + side * rng.uniform(0.1, 0.8))
    if rng.random() < _FORCEPS_IN_VIEW:
        tip = (x + side * radius * 0.35, y - radius * rng.uniform(-0.1, 0.5))
        _place_instrument(
            image, mask, "fpcw_forceps", FPCW_FORCEPS, tip, -np.pi / 2 + side * rng.uniform(-0.9, -0.3), 0.3
        )
