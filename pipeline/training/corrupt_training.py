"""Corruption as training augmentation: turn the settings of a study into what `endoarss` takes."""

from __future__ import annotations

from functools import partial

from corruptions.random_corruption import draw_corruption
from endoarss.augmentation import ImageCorruption
from pipeline.study.conditions import TrainingCorruptions


def image_corruption(asked: TrainingCorruptions) -> ImageCorruption:
    """Return the augmentation that corrupts the images of a training."""
    return ImageCorruption(partial(draw_corruption, names=asked.names, severities=asked.severities), asked.probability)
