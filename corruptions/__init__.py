"""Nineteen corruptions of endoscopic images at five severities. Images in, corrupted images out.

A library of its own, with a command for folders of pictures (`corruptions.command`). It needs numpy, OpenCV, numba, scipy and Pillow;
it knows no model and no study.
"""

from corruptions.api import backend_of, corrupt, corrupt_pair, corruptions_of, moves_pixels, sweep, sweep_pair
from corruptions.catalogue import CATEGORIES, CORRUPTIONS, SEVERITIES
from corruptions.errors import CorruptionError

__all__ = [
    "CATEGORIES",
    "CORRUPTIONS",
    "SEVERITIES",
    "CorruptionError",
    "backend_of",
    "corrupt",
    "corrupt_pair",
    "corruptions_of",
    "moves_pixels",
    "sweep",
    "sweep_pair",
]
