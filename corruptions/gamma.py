"""Gamma correction: out = 255 (in / 255)^g, g = gamma or 1 / gamma.

The authors of EndoARSS list six exponents for five severities, of which the first is the hardest; here severity grows.
"""

from __future__ import annotations

import numpy as np

from corruptions.errors import CorruptionError

GAMMA = (1.25, 1.5, 1.9, 2.4, 3.0)
_DIRECTIONS = ("random", "dark", "bright")


def gamma_correction(
    image: np.ndarray, severity: int, rng: np.random.Generator, direction: str = "random"
) -> np.ndarray:
    """Darken or brighten by an exponent.

    Args:
        image: uint8 RGB (H, W, 3). severity: 1 to 5. rng: draws the direction.
        direction: "dark", "bright", or "random": drawn an image, the same at all severities.

    Returns:
        uint8, same shape.
    """
    if direction not in _DIRECTIONS:
        raise CorruptionError(f"gamma_correction: direction {direction!r}; expected {', '.join(_DIRECTIONS)}.")
    drawn = "dark" if rng.random() < 0.5 else "bright"
    chosen = drawn if direction == "random" else direction
    exponent = GAMMA[severity - 1] if chosen == "dark" else 1 / GAMMA[severity - 1]
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return table[image]
