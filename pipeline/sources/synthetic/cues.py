"""Draws the visible trace of an activity at a place on the tissue, with one painter per activity.

A painter changes the float32 RGB image in place. Painters in `UNDER` draw below the instruments, painters in `OVER` above them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.sources.synthetic.tissue import Image, blend, fractal_noise


@dataclass(frozen=True)
class Site:
    """The place of an activity: pixel position, direction of the instrument (radians), and a size factor."""

    x: float
    y: float
    angle: float
    size: float = 1.0


Painter = Callable[[Image, Site, np.random.Generator], None]


def _site_coordinates(image: Image, site: Site) -> tuple[Image, Image]:
    """Return each pixel's coordinates along and across the instrument's direction, in pixels of an image 256 pixels high."""
    height, width = image.shape[:2]
    unit = height / 256 * site.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cos, sin = np.cos(site.angle), np.sin(site.angle)
    along = ((x - site.x) * cos + (y - site.y) * sin) / unit
    across = (-(x - site.x) * sin + (y - site.y) * cos) / unit
    return along.astype(np.float32), across.astype(np.float32)


def _stroke(image: Image, site: Site, points: np.ndarray, width: float) -> Image:
    """Return the opacity of a smooth line through `points`, which are in the coordinates of the site."""
    unit = image.shape[0] / 256 * site.size
    cos, sin = np.cos(site.angle), np.sin(site.angle)
    placed = points @ np.array([[cos, sin], [-sin, cos]]) * unit + (site.x, site.y)
    layer = np.zeros(image.shape[:2], np.uint8)
    line = np.round(placed * 16).astype(np.int32)
    cv2.polylines(layer, [line], False, 255, max(1, round(width * unit)), cv2.LINE_AA, 4)
    return layer.astype(np.float32) / 255


def _soft(distance: Image, edge: float) -> Image:
    """Return 1 inside (distance below 1) and 0 outside, with a soft edge."""
    return np.clip((1 - distance) / edge + 0.5, 0, 1).astype(np.float32)


def paint_retraction(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw tissue lifted like a tent: a bright ridge towards the tip, tight radial folds, and a dark valley around it."""
    along, across = _site_coordinates(image, site)
    span = 26 + 0.9 * np.clip(along, 0, 95)
    tent = _soft(np.abs(across) / span, 0.5) * np.clip(1 - along / 100, 0, 1) * np.clip((along + 16) / 14, 0, 1)
    folds = 0.5 + 0.5 * np.cos(np.arctan2(across, along + 18) * 22)
    image *= (1 - 0.35 * _soft(np.hypot(along - 30, across) / 105, 0.8) * (1 - tent))[..., None]
    image += (tent * (0.20 + 0.16 * folds))[..., None] * np.array([1.0, 0.82, 0.72], np.float32)


def paint_grasping(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw tissue pinched between the jaws, pale in its middle."""
    along, across = _site_coordinates(image, site)
    radius = np.hypot(along - 16, across * 1.1) / 40
    image *= (1 - 0.5 * _soft(radius / 1.25, 0.4) * (radius > 1))[..., None]
    blend(image, 0.85 * _soft(radius, 0.25), (0.86, 0.44, 0.42))
    blend(image, 0.85 * _soft(radius / 0.62, 0.6), (0.97, 0.84, 0.76))
    blend(image, 0.8 * _soft(np.hypot(along - 26, across + 16) / 6, 0.5), (1.0, 1.0, 0.98))


def paint_manipulation(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw the dent that open jaws press into tissue: dark with a bright rim."""
    along, across = _site_coordinates(image, site)
    radius = np.hypot(along / 1.15, across)
    image *= (1 - 0.62 * np.exp(-((radius / 26) ** 2)))[..., None]
    rim = np.exp(-(((radius - 40) / 6.5) ** 2))
    image += (0.24 * rim)[..., None]


def paint_cutting(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw an open incision with red edges in front of the blades."""
    along, across = _site_coordinates(image, site)
    wander = 5 * np.sin(along / 17 + rng.uniform(0, 6))
    gape = 13 * np.sqrt(np.clip(1 - ((along - 18) / 78) ** 2, 0, 1)) + 1e-3
    edge = np.abs(across - wander) / gape
    inside = np.abs(along - 18) < 78
    blend(image, 0.9 * _soft(edge / 1.7, 0.3) * inside, (0.86, 0.30, 0.26))
    blend(image, 0.95 * _soft(edge, 0.3) * inside, (0.28, 0.02, 0.04))


def paint_cauterization(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw charred tissue at the tip."""
    along, across = _site_coordinates(image, site)
    radius = np.hypot(along - 10, across) / 24 + 0.12 * fractal_noise(rng, image.shape[0], image.shape[1], 14)
    blend(image, 0.9 * _soft(radius, 0.4), (0.09, 0.06, 0.05))
    blend(image, 0.5 * _soft(radius / 1.5, 0.5) * (radius > 1), (0.85, 0.72, 0.50))


def paint_smoke_plume(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw smoke that rises from the site and covers everything behind it."""
    height, width = image.shape[:2]
    unit = height / 256 * site.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rise = (site.y - y) / unit
    drift = (x - site.x) / unit - 0.25 * np.clip(rise, 0, None)
    spread = 22 + 0.55 * np.clip(rise, 0, None)
    plume = np.exp(-((drift / spread) ** 2)) * np.clip((rise + 22) / 40, 0, 1)
    density = plume * np.clip(0.75 + 0.35 * fractal_noise(rng, height, width, cells=6, octaves=5), 0, 1.4)
    blend(image, np.clip(0.78 * density, 0, 0.9), (0.78, 0.79, 0.81))


def paint_suction(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a pool of blood at the opening of the tube."""
    along, across = _site_coordinates(image, site)
    radius = np.hypot((along - 26) / 58, across / 44) + 0.10 * fractal_noise(rng, image.shape[0], image.shape[1], 7)
    blend(image, 0.92 * _soft(radius, 0.15), (0.47, 0.02, 0.03))
    blend(image, 0.75 * _soft(np.hypot((along - 40) / 16, (across + 18) / 4), 0.7), (1.0, 0.88, 0.86))


def paint_ultrasound_sensing(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a bluish, glossy layer of gel under the probe."""
    along, across = _site_coordinates(image, site)
    radius = np.hypot((along - 12) / 62, across / 48) + 0.06 * fractal_noise(rng, image.shape[0], image.shape[1], 8)
    blend(image, 0.62 * _soft(radius, 0.12), (0.62, 0.80, 0.92))
    blend(image, 0.6 * np.exp(-(((radius - 0.92) / 0.05) ** 2)), (0.97, 1.0, 1.0))


def paint_looping(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a violet thread in two loops around the tip."""
    turn = np.linspace(0, 4 * np.pi, 90)
    size = np.where(turn < 2 * np.pi, 1.0, 0.72)
    points = np.stack([22 + 44 * size * np.cos(turn), 34 * size * np.sin(turn) + 4 * np.sin(turn / 2)], axis=1)
    blend(image, 0.95 * _stroke(image, site, points, 4.5), (0.35, 0.16, 0.62))


def paint_suturing(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a slit that a zigzag of thread closes, and the curved needle."""
    slit = np.stack([np.linspace(-40, 90, 30), np.full(30, 22.0)], axis=1)
    blend(image, 0.85 * _stroke(image, site, slit, 7), (0.36, 0.05, 0.06))
    steps = np.linspace(-40, 70, 12)
    zigzag = np.stack([steps, 22 + np.where(np.arange(12) % 2, 15, -15)], axis=1)
    blend(image, 0.95 * _stroke(image, site, zigzag, 4.5), (0.30, 0.18, 0.66))
    turn = np.linspace(-0.4, np.pi * 0.9, 40)
    needle = np.stack([26 + 30 * np.cos(turn), -8 - 26 * np.sin(turn)], axis=1)
    blend(image, 0.95 * _stroke(image, site, needle, 4), (0.93, 0.94, 0.96))


def paint_clipping(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a thick vessel that shiny clips close."""
    x = np.linspace(-110, 110, 60)
    vessel = np.stack([26 + 5 * np.sin(x / 40), x], axis=1)
    blend(image, 0.9 * _stroke(image, site, vessel, 26), (0.52, 0.10, 0.14))
    blend(image, 0.6 * _stroke(image, site, vessel - (5, 0), 7), (0.80, 0.36, 0.38))
    for offset in (-58.0, -34.0, 34.0, 58.0):
        clip = np.array([[4.0, offset], [48.0, offset]])
        blend(image, 0.97 * _stroke(image, site, clip, 9), (0.95, 0.96, 0.90))


def paint_stapling(image: Image, site: Site, rng: np.random.Generator) -> None:
    """Draw a stapled line: two staggered rows of metal across a seam."""
    seam = np.array([[-70.0, 34.0], [110.0, 34.0]])
    blend(image, 0.8 * _stroke(image, site, seam, 8), (0.34, 0.06, 0.07))
    for row, stagger in ((22.0, 0.0), (46.0, 9.0)):
        for step in np.arange(-70.0, 105.0, 18.0):
            staple = np.array([[step + stagger, row], [step + stagger + 10, row]])
            blend(image, 0.97 * _stroke(image, site, staple, 6), (0.90, 0.93, 0.96))


UNDER: dict[str, Painter] = {
    "retraction": paint_retraction,
    "grasping": paint_grasping,
    "manipulation": paint_manipulation,
    "cutting": paint_cutting,
    "cauterization": paint_cauterization,
    "suction": paint_suction,
    "ultrasound_sensing": paint_ultrasound_sensing,
    "clipping": paint_clipping,
    "stapling": paint_stapling,
    "suturing": paint_suturing,
}
OVER: dict[str, Painter] = {"cauterization": paint_smoke_plume, "looping": paint_looping}
