"""Write digests.json: the SHA-256 of every corruption and severity on a picture made of whole numbers.

    python tests/corruptions/golden/make_digests.py

Run it only where a corruption was changed on purpose; the change of this file then shows which.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from corruptions import CORRUPTIONS, sweep

SIZES = ((96, 128), (224, 224), (600, 700))  # the second is larger than the fields that are drawn for it


def whole_number_picture(height: int, width: int) -> np.ndarray:
    """Ramps, curves and edges on the left, soft patches with noise on the right, by whole-number arithmetic alone."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * 3 + y) % 256, (x * x // 37 + 2 * y) % 256, (y * y // 29 + 5 * x) % 256]
    curves = np.stack(planes, axis=2)
    raw = np.random.Philox(key=height).random_raw(height * width).reshape(height, width)
    patches = raw[:: height // 8, :: width // 8][:9, :9, None] >> np.array([0, 8, 16], np.uint64) & np.uint64(255)
    rows, columns = np.arange(height) * 8 * 256 // height, np.arange(width) * 8 * 256 // width
    soft = patches.astype(np.int64)
    for axis, places in ((0, rows), (1, columns)):
        first, share = places // 256, (places % 256).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        near, far = soft.take(first, axis), soft.take(np.minimum(first + 1, soft.shape[axis] - 1), axis)
        soft = (near * (256 - share) + far * share) // 256
    noisy = soft + (raw[..., None] >> np.array([24, 32, 40], np.uint64) & np.uint64(31)).astype(np.int64) - 16
    return np.where(x[..., None] < width // 3, curves, np.clip(noisy, 0, 255)).astype(np.uint8)


def digests() -> dict[str, list[str]]:
    """Of "name HxW" the digests of severities 1 to 5, 16 hex digits each."""
    found = {}
    for size in SIZES:
        picture = whole_number_picture(*size)
        for name in CORRUPTIONS:
            images = sweep(picture, name, seed=7, image_id="golden")
            found[f"{name} {size[0]}x{size[1]}"] = [
                hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images
            ]
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digests.json")
    target.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
