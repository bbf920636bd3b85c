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

SIZES = ((96, 128), (600, 700))  # the second is larger than the fields that are drawn for it


def arithmetic_picture(height: int, width: int) -> np.ndarray:
    """Ramps, curves and edges by whole-number arithmetic alone: the same bytes everywhere."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * 3 + y) % 256, (x * x // 37 + 2 * y) % 256, (y * y // 29 + 5 * x) % 256]
    return np.stack(planes, axis=2).astype(np.uint8)


def digests() -> dict[str, list[str]]:
    """Of "name HxW" the digests of severities 1 to 5, 16 hex digits each."""
    found = {}
    for size in SIZES:
        picture = arithmetic_picture(*size)
        for name in CORRUPTIONS:
            images = sweep(picture, name, seed=7, image_id="golden")
            found[f"{name} {size[0]}x{size[1]}"] = [
                hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images
            ]
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digests.json")
    target.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
