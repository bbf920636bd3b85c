"""The sixteen corruptions that ImageNet-C shares with this benchmark, by the reference library.

The library is `imagecorruptions` in its maintained build, imagecorruptions-imaug. It draws from numpy's global generator
and is not thread-safe: calls are serialised here, and the global state is put back as it was.
"""

from __future__ import annotations

import threading
import warnings

import numpy as np
from PIL import Image

from corruptions.randomness import key_of

_lock = threading.Lock()
_SEEDED_BY_ARGUMENT = ("impulse_noise", "glass_blur")


def reference_corrupt(image: np.ndarray, name: str, severity: int, seed: int, image_id: str) -> np.ndarray:
    """Corrupt with the reference library, truncated to uint8 as it does.

    Args:
        image: uint8 RGB (H, W, 3), at least 32 pixels a side. name: one of the sixteen. severity: 1 to 5.

    Returns:
        uint8, same shape.
    """
    # Imported late: it compiles with numba and takes a second.
    from imagecorruptions import corruption_dict

    key = key_of(seed, name, image_id) % 2**32
    arguments = {"seed": key} if name in _SEEDED_BY_ARGUMENT else {}
    with _lock:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(key)  # noqa: NPY002
        try:
            with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
                warnings.simplefilter("ignore")
                result = np.asarray(corruption_dict[name](Image.fromarray(image), severity, **arguments))
        finally:
            np.random.set_state(state)  # noqa: NPY002
    if name == "spatter" and np.isnan(result).any():
        # It divides by the largest drop: where a small picture got none, it stays as it is.
        return image.copy()
    return result.astype(np.uint8)
