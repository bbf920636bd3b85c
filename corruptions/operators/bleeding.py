"""Bleeding: droplets and pools of blood on the tissue and the lens.

Blood covers the places where a level field (log-normal droplets, a few pools and fractal noise) exceeds a threshold, which is set so that
blood covers the severity's share of the image. Higher severities have lower thresholds, so blood only spreads. Blood absorbs light like a
thin layer of haemoglobin (Beer-Lambert: green and blue strongly, red little). The shading of the tissue stays visible, and blood reflects
the lamp.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.errors import CorruptionError
from corruptions.fields import Field, enlarge, field_size, fractal_noise
from corruptions.filters import gaussian
from corruptions.lighting import lit_area, scene_at_field_size
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

COVERAGE = (0.03, 0.07, 0.13, 0.22, 0.34)
# Absorption of red, green and blue per unit of thickness.
_ABSORPTION = np.array([0.35, 3.0, 2.9])
# The share of the incident light that deep blood scatters, for red, green and blue.
_BODY = np.array([0.58, 0.05, 0.06], np.float32)
_DROPLETS = 48
_POOLS = 3
_STEPS = 1024  # steps of thickness in the tables


@dataclass(frozen=True)
class Blood:
    """Where the blood is and how it is lit, at `field_size`: float32 (h, w).

    Attributes:
        level: the level field of the blood.
        waves: the waves of its surface, zero mean and unit deviation.
        light: the light that falls on it, 0 to 1.
        lit: the field of view, 0 to 1.
    """

    level: Field
    waves: Field
    light: Field
    lit: Field


def prepare_bleeding(image: Image, randomness: Randomness) -> Blood:
    """Draw where the blood is, and compute how the scene is lit."""
    scene = scene_at_field_size(image)
    luminance = cv2.transform(scene, np.full((1, 3), 1 / 3)).astype(np.float32) / np.float32(255)
    smooth = gaussian(luminance, max(1.0, min(scene.shape[:2]) / 40), "reflect_101", truncate=3)
    level = blood_level(randomness, *image.shape[:2])
    rows, columns = level.shape
    waves = fractal_noise(randomness, rows, columns, cells=7, octaves=3, gain=0.4)
    return Blood(level, waves, np.float32(0.25) + np.float32(0.75) * smooth, lit_area(scene))


def blood_level(randomness: Randomness, height: int, width: int) -> Field:
    """Return the level field at `field_size`. Blood covers its highest values first; sizes of drops scale with the shorter side."""
    rows, columns = field_size(height, width)
    short = min(rows, columns)
    warp_x = fractal_noise(randomness, rows, columns, cells=5, octaves=3)
    warp_y = fractal_noise(randomness, rows, columns, cells=5, octaves=3)
    small = np.clip(np.exp(np.log(0.022) + 0.55 * randomness.normal(_DROPLETS).astype(np.float64)), 0.008, 0.09)
    radii = np.concatenate([randomness.uniform(0.16, 0.30, _POOLS), small])
    peaks = np.concatenate([randomness.uniform(0.7, 1.0, _POOLS), randomness.uniform(0.2, 1.0, _DROPLETS)])
    centres_x = randomness.uniform(0, columns / short, radii.size)
    centres_y = randomness.uniform(0, rows / short, radii.size)
    stretch = randomness.uniform(0.75, 1.33, radii.size)
    drops = np.stack([centres_x, centres_y, stretch / radii * 0.6, 1 / stretch / radii * 0.6, peaks], axis=1)
    level = (0.06 * fractal_noise(randomness, rows, columns, cells=6, octaves=4)).astype(np.float32)
    _add_highest(drops.astype(np.float32), np.float32(0.03) * warp_x, np.float32(0.03) * warp_y, level)
    return level


@compiled
def _add_highest(drops: Field, warp_x: Field, warp_y: Field, level: Field) -> None:
    """Add the highest of the drops' cones (centre x, centre y, slope x, slope y, peak) to the level at each pixel."""
    rows, columns = level.shape
    unit = np.float32(1) / np.float32(min(rows, columns))
    highest = np.empty(columns, np.float32)
    for y in range(rows):
        highest[:] = -1e9
        for k in range(drops.shape[0]):
            centre_x, centre_y, slope_x, slope_y, peak = drops[k]
            for x in range(columns):
                across = ((np.float32(x) + np.float32(0.5)) * unit + warp_x[y, x] - centre_x) * slope_x
                down = ((np.float32(y) + np.float32(0.5)) * unit + warp_y[y, x] - centre_y) * slope_y
                highest[x] = max(highest[x], peak - np.sqrt(across * across + down * down))
        for x in range(columns):
            level[y, x] += highest[x]


def blood_threshold(level: Field, coverage: float) -> np.float32:
    """Return the level that is exceeded on the given share of the field."""
    return np.float32(np.quantile(level, 1 - coverage))


def blood_thickness(level: Field, coverage: float) -> Field:
    """Return the thickness of the layer, 0 to 1. It is 0 outside the blood, which covers the given share exactly (to one pixel)."""
    above = np.clip(level - blood_threshold(level, coverage), 0, None)
    return (above / (above + np.float32(0.06))).astype(np.float32)


@register_corruption("bleeding", "occlusion", prepare=prepare_bleeding)
def bleeding(image: Image, severity: int, blood: Blood, coverage: float | None = None) -> Image:
    """Put blood on the image.

    Args:
        coverage: the share of the image under blood, above 0 and below 1; it replaces the share of the severity.
    """
    share = COVERAGE[severity - 1] if coverage is None else coverage
    if not (isinstance(share, (int, float)) and 0 < share < 1):
        raise CorruptionError(f"bleeding: coverage {share!r}; expected a number between 0 and 1.")
    size = image.shape[:2]
    glints = _highlights(blood_thickness(blood.level, share), blood.waves)
    result = np.array(image, order="C")
    _cover(
        enlarge(blood.level, *size),
        blood_threshold(blood.level, share),
        enlarge(blood.light * (1 + np.float32(0.16) * blood.waves), *size),
        enlarge(blood.lit, *size),
        enlarge(glints, *size),
        *_optics(),
        _BODY,
        result,
    )
    return result


def _optics() -> tuple[Field, Field]:
    """Return two tables over `_STEPS` steps of thickness: factors of the scene (steps, 3), and the share of the blood's own light (steps,).

    They include two effects that Beer-Lambert does not describe: the thin film of blood at the rim, and the opacity of deep blood.
    """
    thickness = (np.arange(_STEPS) / (_STEPS - 1))[:, None]
    opacity = 0.78 * np.clip(thickness * 1.5, 0, 1) ** 2
    inside = np.clip(thickness / 0.15, 0, 1)
    through = np.exp(-_ABSORPTION * 1.6 * thickness) * (1 - opacity)
    scene, own = 1 + inside * (through - 1), inside * opacity
    return scene.astype(np.float32), own[:, 0].astype(np.float32)


@compiled
def _cover(
    level: Field,
    threshold: np.float32,
    light: Field,
    lit: Field,
    glints: Field,
    scene: Field,
    own: Field,
    body: Field,
    result: NDArray[np.uint8],
) -> None:
    for y in range(level.shape[0]):
        for x in range(level.shape[1]):
            above = level[y, x] - threshold
            if above <= 0:
                continue
            step = int(above / (above + np.float32(0.06)) * np.float32(scene.shape[0] - 1) + np.float32(0.5))
            falling, glint = np.float32(255) * light[y, x], np.float32(255) * glints[y, x]
            for c in range(3):
                value = np.float32(result[y, x, c])
                mixed = value * scene[step, c] + own[step] * falling * body[c] + glint
                seen = value + (mixed - value) * lit[y, x]
                result[y, x, c] = np.uint8(min(seen + np.float32(0.5), np.float32(255)))


def _highlights(thickness: Field, waves: Field) -> Field:
    """Return reflections of a lamp at the top left, on rims and on the waves of deep blood: float32 (h, w), 0 to 0.55."""
    short = min(thickness.shape)
    surface = gaussian(thickness, short / 110, "reflect_101")
    surface += np.float32(0.45) * waves * thickness**2
    glint = np.zeros_like(surface)
    _add_glints(surface, thickness, np.float32(short), glint)
    return gaussian(glint, short / 250, "reflect_101")


@compiled
def _add_glints(surface: Field, thickness: Field, short: np.float32, glint: Field) -> None:
    rows, columns = surface.shape
    for y in range(rows):
        above, below = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            if thickness[y, x] <= np.float32(0.25):
                continue
            left, right = max(x - 1, 0), min(x + 1, columns - 1)
            across = (surface[y, right] - surface[y, left]) * short / np.float32(right - left)
            down = (surface[below, x] - surface[above, x]) * short / np.float32(below - above)
            facing = (across + down) / np.sqrt(np.float32(2) * (across * across + down * down) + np.float32(900))
            share = (facing - np.float32(0.38)) * np.float32(4)
            glint[y, x] = np.float32(0.55) * min(max(share, np.float32(0)), np.float32(1))
