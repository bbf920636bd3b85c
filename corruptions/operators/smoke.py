"""Surgical smoke: it weakens the scene's light and adds light of its own.

The result is I t + A (1 - t), with the image I, the smoke's light A and the transmission t = exp(-b D). This is the single-scattering model
of haze (Koschmieder; Narasimhan & Nayar 2002). The density D is an ambient floor plus fractal noise in a rising plume; b is solved so that
the mean of t is the severity's value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corruptions.compiled import compiled
from corruptions.errors import CorruptionError
from corruptions.fields import Field, enlarge, field_size, fractal_noise, unit_grid
from corruptions.lighting import lit_area, scene_at_field_size
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

MEAN_TRANSMISSION = (0.80, 0.65, 0.50, 0.36, 0.24)
_AMBIENT = 0.35


@dataclass(frozen=True)
class Plume:
    """The smoke of one image.

    Attributes:
        density: density at `field_size`: float32 (h, w).
        lit: the field of view at `field_size`, 0 to 1: float32 (h, w).
        airlight: the light that the smoke scatters, 0 to 255: float32 (3,).
    """

    density: Field
    lit: Field
    airlight: Field


def prepare_smoke(image: Image, randomness: Randomness) -> Plume:
    """Draw the plume. Smoke scatters the lamp's light, so it is nearly grey, and as bright as the bright parts of the scene."""
    density = smoke_density(randomness, *image.shape[:2])
    brightness = np.clip(_percentile_of_largest(image, 90) / 255, 0.55, 0.90)
    tint = 1 + randomness.uniform(-0.02, 0.02, 3)
    return Plume(density, lit_area(scene_at_field_size(image)), (255 * brightness * tint).astype(np.float32))


def smoke_density(randomness: Randomness, height: int, width: int) -> Field:
    """Return the density D at `field_size`: at least _AMBIENT, and largest in a plume that rises from below and drifts sideways."""
    rows, columns = field_size(height, width)
    x, y = unit_grid(rows, columns)
    reach = columns / min(rows, columns)
    source = randomness.uniform(0.25, 0.75) * reach
    drift = randomness.uniform(-0.35, 0.35)
    base = rows / min(rows, columns) * randomness.uniform(0.75, 1.0)
    rise = np.clip(base - y, 0, None)
    spread = 0.22 + 0.45 * rise
    plume = np.exp(-(((x - source - drift * rise) / spread) ** 2)) * np.clip((base + 0.15 - y) / 0.3, 0, 1)
    density = fractal_noise(randomness, rows, columns, cells=3, octaves=5, gain=0.55)
    density *= np.float32(0.42)
    density += np.float32(0.62)
    np.clip(density, 0, None, out=density)
    density *= plume.astype(np.float32) + np.float32(0.25)
    density *= np.float32(1.9)
    density += np.float32(_AMBIENT)
    return density


def smoke_transmission(density: Field, mean: float) -> Field:
    """Return t = exp(-b D), with b solved to 1e-4 for the given mean; a smaller mean lowers t everywhere."""
    low, high = 0.0, 64.0
    counts, edges = np.histogram(density, 512)
    middles = (edges[:-1] + edges[1:]) / 2
    for _ in range(48):
        middle = (low + high) / 2
        if float(counts @ np.exp(-middle * middles)) / density.size > mean:
            low = middle
        else:
            high = middle
    return np.exp(-np.float32((low + high) / 2) * density)


@register_corruption("smoke", "occlusion", prepare=prepare_smoke)
def smoke(image: Image, severity: int, plume: Plume, mean_transmission: float | None = None) -> Image:
    """Fill the view with smoke.

    Args:
        mean_transmission: the mean share of the scene's light that arrives, above 0 and below 1; it replaces the share of the severity.
    """
    mean = MEAN_TRANSMISSION[severity - 1] if mean_transmission is None else mean_transmission
    if not (isinstance(mean, (int, float)) and 0 < mean < 1):
        raise CorruptionError(f"smoke: mean_transmission {mean!r}; expected a number between 0 and 1.")
    size = image.shape[:2]
    transmission, lit = enlarge(smoke_transmission(plume.density, mean), *size), enlarge(plume.lit, *size)
    result = np.empty_like(image, order="C")
    _mix(np.ascontiguousarray(image), transmission, lit, plume.airlight, result)
    return result


@compiled
def _mix(image: Image, transmission: Field, lit: Field, airlight: Field, result: Image) -> None:
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            added = (np.float32(1) - transmission[y, x]) * lit[y, x]
            for c in range(3):
                value = np.float32(image[y, x, c])
                mixed = value + (airlight[c] - value) * added
                result[y, x, c] = np.uint8(min(mixed + np.float32(0.5), np.float32(255)))


def _percentile_of_largest(image: Image, percent: float) -> int:
    """Return the value that the largest channel of this percentage of the pixels does not exceed."""
    counts = np.zeros(256, np.int64)
    _count_largest(np.ascontiguousarray(image).reshape(-1, 3), counts)
    return int(np.searchsorted(counts.cumsum(), percent / 100 * counts.sum()))


@compiled
def _count_largest(pixels: Image, counts: np.ndarray) -> None:
    for i in range(pixels.shape[0]):
        counts[max(pixels[i, 0], pixels[i, 1], pixels[i, 2])] += 1
