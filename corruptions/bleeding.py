"""Bleeding: droplets and pools of blood on the tissue and the lens.

The blood is where a level field, made of log-normal droplets, a few pools and fractal noise, exceeds a threshold chosen
for the coverage of the severity; thresholds fall, so that blood only spreads. It absorbs light as a thin layer of
haemoglobin does (Beer-Lambert: green and blue strongly, red little), keeps the shading below it, and mirrors the lamp.
"""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.errors import CorruptionError
from corruptions.fields import Field, enlarge, field_size, fractal_noise, unit_grid

COVERAGE = (0.03, 0.07, 0.13, 0.22, 0.34)
# Absorption a unit of thickness of red, green and blue.
_ABSORPTION = np.array([0.35, 3.0, 2.9], np.float32)
_DROPLETS = 48
_POOLS = 3


def blood_level(rng: np.random.Generator, height: int, width: int) -> Field:
    """The level field at `field_size`; sizes scale with the shorter side. Blood fills it from its peaks down."""
    rows, columns = field_size(height, width)
    x, y = unit_grid(rows, columns)
    wide, high = columns / min(rows, columns), rows / min(rows, columns)
    warp_x = 0.030 * fractal_noise(rng, rows, columns, cells=5, octaves=3)
    warp_y = 0.030 * fractal_noise(rng, rows, columns, cells=5, octaves=3)
    level = np.full((rows, columns), -np.inf, np.float32)
    radii = np.concatenate(
        [rng.uniform(0.16, 0.30, _POOLS), np.clip(rng.lognormal(np.log(0.022), 0.55, _DROPLETS), 0.008, 0.09)]
    )
    peaks = np.concatenate([rng.uniform(0.7, 1.0, _POOLS), rng.uniform(0.2, 1.0, _DROPLETS)])
    for radius, peak in zip(radii, peaks, strict=True):
        centre_x, centre_y = rng.uniform(0, wide), rng.uniform(0, high)
        stretch = rng.uniform(0.75, 1.33)
        distance = np.hypot((x + warp_x - centre_x) * stretch, (y + warp_y - centre_y) / stretch) / radius
        level = np.maximum(level, peak - distance.astype(np.float32) * 0.6)
    return (level + 0.06 * fractal_noise(rng, rows, columns, cells=6, octaves=4)).astype(np.float32)


def blood_thickness(level: Field, coverage: float) -> Field:
    """Thickness of the layer, 0 outside the blood, which covers exactly the share asked for (to one pixel)."""
    threshold = np.quantile(level, 1 - coverage)
    above = np.clip(level - threshold, 0, None)
    return (above / (above + 0.06)).astype(np.float32)


def bleeding(image: np.ndarray, severity: int, rng: np.random.Generator, coverage: float | None = None) -> np.ndarray:
    """Put blood on the picture.

    Args:
        image: uint8 RGB (H, W, 3). severity: 1 to 5. rng: decides where the blood is.
        coverage: share of the picture under blood, above 0 to below 1; replaces the severity's.

    Returns:
        uint8, same shape.
    """
    share = COVERAGE[severity - 1] if coverage is None else coverage
    if not 0 < share < 1:
        raise CorruptionError(f"bleeding: coverage {share}; expected a number between 0 and 1.")
    height, width = image.shape[:2]
    level = blood_level(rng, height, width)
    thickness = blood_thickness(enlarge(level, height, width), share)
    scene = image.astype(np.float32) / 255
    # Deep blood is lit by what it scatters itself: a dark red that follows the local light.
    luminance = cv2.GaussianBlur(scene, (0, 0), max(1.0, min(height, width) / 40)).mean(axis=2)[..., None]
    body = (0.25 + 0.75 * luminance) * np.array([0.58, 0.05, 0.06], np.float32)
    through = np.exp(-_ABSORPTION * 1.6 * thickness[..., None])
    opacity = 0.78 * np.clip(thickness * 1.5, 0, 1)[..., None] ** 2
    mixed = scene * through * (1 - opacity) + body * opacity
    mixed += _highlights(blood_thickness(level, share), height, width)[..., None]
    inside = np.clip(thickness / 0.15, 0, 1)[..., None]
    blended = scene + inside * (mixed - scene)
    return np.clip(np.rint(blended * 255), 0, 255).astype(np.uint8)


def _highlights(thickness: Field, height: int, width: int) -> Field:
    """Glints on the slopes of the layer that face a lamp above and to the left."""
    short = min(thickness.shape)
    smooth = cv2.GaussianBlur(thickness, (0, 0), short / 110)
    slope_x = np.gradient(smooth, axis=1) * short
    slope_y = np.gradient(smooth, axis=0) * short
    facing = (slope_x + slope_y) / np.sqrt(2 * (slope_x**2 + slope_y**2) + 900)
    glint = np.clip((facing - 0.38) / 0.25, 0, 1) * (thickness > 0.25)
    return 0.55 * enlarge(cv2.GaussianBlur(glint.astype(np.float32), (0, 0), short / 250), height, width)
