"""Corrupt endoscopic images at five severities: the nineteen corruptions of the paper, and corruptions that a user adds.

The package takes images and returns corrupted images. It has a command for folders of images (`corruptions.command`). It needs numpy,
OpenCV, numba, scipy, Pillow and tqdm, and does not depend on the other packages of this project.
"""

from corruptions.api import backend_of, corrupt, corrupt_pair, corruptions_of, moves_pixels, sweep, sweep_pair
from corruptions.catalogue import (
    CATEGORIES,
    CORRUPTIONS,
    SEVERITIES,
    STANDARD_CORRUPTIONS,
    known_categories,
    known_corruptions,
    selected_corruptions,
)
from corruptions.errors import CorruptionError
from corruptions.random_corruption import RandomCorruption
from corruptions.registry import register_corruption

__all__ = [
    "CATEGORIES",
    "CORRUPTIONS",
    "SEVERITIES",
    "STANDARD_CORRUPTIONS",
    "CorruptionError",
    "RandomCorruption",
    "backend_of",
    "corrupt",
    "corrupt_pair",
    "corruptions_of",
    "known_categories",
    "known_corruptions",
    "moves_pixels",
    "register_corruption",
    "selected_corruptions",
    "sweep",
    "sweep_pair",
]
