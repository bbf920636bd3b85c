"""Surgical smoke: what is left of the scene's light, and the smoke's own.

I t + A (1 - t) with t = exp(-b D), the single-scattering model of haze (Koschmieder; Narasimhan & Nayar 2002). The density
D is an ambient floor plus fractal noise in a rising plume; b is solved so that the mean transmission is the severity's.
"""

from __future__ import annotations

import numpy as np

from corruptions.errors import CorruptionError
from corruptions.fields import Field, enlarge, field_size, fractal_noise, unit_grid

MEAN_TRANSMISSION = (0.80, 0.65, 0.50, 0.36, 0.24)
_AMBIENT = 0.35


def smoke_density(rng: np.random.Generator, height: int, width: int) -> Field:
    """The density D at `field_size`: at least the ambient floor, largest in a plume that rises from below and drifts."""
    rows, columns = field_size(height, width)
    x, y = unit_grid(rows, columns)
    reach = columns / min(rows, columns)
    source = rng.uniform(0.25, 0.75) * reach
    drift = rng.uniform(-0.35, 0.35)
    base = rows / min(rows, columns) * rng.uniform(0.75, 1.0)
    rise = np.clip(base - y, 0, None)
    spread = 0.22 + 0.45 * rise
    plume = np.exp(-(((x - source - drift * rise) / spread) ** 2)) * np.clip((base + 0.15 - y) / 0.3, 0, 1)
    billows = np.clip(0.62 + 0.42 * fractal_noise(rng, rows, columns, cells=3, octaves=5, gain=0.55), 0, None)
    return (_AMBIENT + 1.9 * billows * (0.25 + plume)).astype(np.float32)


def smoke_transmission(density: Field, mean: float) -> Field:
    """t = exp(-b D) with the b that gives the mean wanted, to 1e-4; falls everywhere when the mean falls."""
    low, high = 0.0, 64.0
    for _ in range(48):
        middle = (low + high) / 2
        if float(np.exp(-middle * density).mean()) > mean:
            low = middle
        else:
            high = middle
    return np.exp(-np.float32((low + high) / 2) * density)


def smoke(
    image: np.ndarray, severity: int, rng: np.random.Generator, mean_transmission: float | None = None
) -> np.ndarray:
    """Fill the view with smoke.

    Args:
        image: uint8 RGB (H, W, 3). severity: 1 to 5. rng: decides plume and tint.
        mean_transmission: share of the scene's light that arrives on average, above 0 to below 1; replaces the severity's.

    Returns:
        uint8, same shape.
    """
    mean = MEAN_TRANSMISSION[severity - 1] if mean_transmission is None else mean_transmission
    if not 0 < mean < 1:
        raise CorruptionError(f"smoke: mean_transmission {mean}; expected a number between 0 and 1.")
    height, width = image.shape[:2]
    density = smoke_density(rng, height, width)
    transmission = enlarge(smoke_transmission(density, mean), height, width)[..., None]
    # Smoke scatters the lamp's light: nearly neutral, as bright as the bright parts of the scene.
    brightness = np.clip(np.percentile(image.max(axis=2), 90) / 255, 0.55, 0.90)
    airlight = brightness * (np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.02, 0.02, 3))
    mixed = image.astype(np.float32) * transmission + (255 * airlight).astype(np.float32) * (1 - transmission)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
