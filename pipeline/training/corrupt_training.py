"""Turn a study's corruptions of training images into an augmentation of `endoarss`."""

from __future__ import annotations

from functools import partial

from corruptions.random_corruption import draw_corruption
from endoarss.augmentation import ImageCorruption
from pipeline.study.conditions import TrainingCorruptions


def image_corruption(settings: TrainingCorruptions) -> ImageCorruption:
    """Return the augmentation that corrupts the images of a training."""
    return ImageCorruption(
        partial(draw_corruption, names=settings.names, severities=settings.severities), settings.probability
    )
