"""Metrics as pure functions of counts and labels, and one evaluator of each task. Knows numpy, not torch.

protocol="standard" is what the names say. The protocol of the published tables differs (see docs/protocols.md).
"""

from endoarss.metrics.classification import ClassificationScores, evaluate_classification
from endoarss.metrics.segmentation import (
    SegmentationScores,
    evaluate_segmentation,
    pixel_counts,
    scores_from_counts,
)
from endoarss.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "ClassificationScores",
    "SegmentationScores",
    "SurfaceDistances",
    "evaluate_classification",
    "evaluate_segmentation",
    "pixel_counts",
    "scores_from_counts",
    "surface_distances",
]
