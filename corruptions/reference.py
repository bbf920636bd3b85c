"""The sixteen corruptions that this benchmark shares with ImageNet-C, computed by the reference library.

The backend "reference" runs them, and tests compare this package's own code with them. The library is imagecorruptions-imaug, the
maintained build of `imagecorruptions`. It draws from numpy's global generator and is not thread-safe, so calls run one at a time, and each
restores the generator's state.
"""

from __future__ import annotations

import threading
import warnings

import numpy as np
from PIL import Image as Pictures

from corruptions.errors import CorruptionError
from corruptions.registry import Image, Mask

COMMON = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "gaussian_blur", "glass_blur"),
    *("motion_blur", "zoom_blur", "brightness", "spatter", "contrast", "elastic_transform", "jpeg_compression"),
    *("pixelate", "saturate"),
)
_SEEDED_BY_ARGUMENT = ("impulse_noise", "glass_blur")
_lock = threading.Lock()


def reference_corrupt(image: Image, name: str, severity: int, key: int) -> Image:
    """Return the image corrupted by the reference library, truncated to uint8 as the library does.

    Args:
        image: uint8 RGB (H, W, 3), at least 32 pixels per side.
        name: a name of `COMMON`.
        severity: 1 to 5.
        key: the key of the random numbers.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        CorruptionError: if the reference library is not installed.
    """
    try:
        from imagecorruptions import corruption_dict  # here, because the import compiles with numba for a second
    except ModuleNotFoundError:
        raise CorruptionError(
            "the backend 'reference' needs imagecorruptions. Install it: pip install 'endoarss[reference]'"
        ) from None

    seed = key % 2**32
    arguments = {"seed": seed} if name in _SEEDED_BY_ARGUMENT else {}
    with _lock:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        try:
            with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
                warnings.simplefilter("ignore")
                result = np.asarray(corruption_dict[name](Pictures.fromarray(image), severity, **arguments))
        finally:
            np.random.set_state(state)  # noqa: NPY002
    if name == "spatter" and np.isnan(result).any():
        # The library divides by the largest drop. If no drop falls on a small image, the image stays unchanged.
        return image.copy()
    return result.astype(np.uint8)


def reference_move(mask: Mask, name: str, severity: int, key: int) -> Mask:
    """Return a mask of ids (H, W), moved as `reference_corrupt` moves an image of its size.

    The area of each id is moved as a separate image. A pixel gets the id with the largest value there.
    """
    ids = np.unique(mask)
    areas = [np.where(mask == value, 255, 0).astype(np.uint8) for value in ids]
    moved = [reference_corrupt(np.stack([area] * 3, axis=2), name, severity, key)[..., 0] for area in areas]
    return ids[np.stack(moved).argmax(axis=0)].astype(np.uint8)
