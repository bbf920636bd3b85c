"""Metrics as pure functions of counts and labels, and one evaluator of whole test sets; they use numpy, OpenCV and scipy, not torch.

protocol="standard" computes what a metric's name says; protocol="authors_code" computes what the authors' code computes under that name.
docs/protocols.md compares the two. Pixels whose true value is `IGNORED` (255) belong to no class and are left out of all metrics.
"""

from endoarss.labels import IGNORED
from endoarss.metrics.calibration import expected_calibration_error
from endoarss.metrics.classification import ClassificationScores, confusion_matrix, evaluate_classification
from endoarss.metrics.evaluator import Evaluator
from endoarss.metrics.protocol import AUTHORS_CODE, PROTOCOLS, STANDARD
from endoarss.metrics.rows import confuse_mask, count_mask, measure_mask, scores_of_images, scores_of_rows
from endoarss.metrics.segmentation import (
    SegmentationScores,
    confusion_of_pixels,
    evaluate_segmentation,
    pixel_counts,
    scores_from_counts,
)
from endoarss.metrics.structural import class_structural_similarity
from endoarss.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "AUTHORS_CODE",
    "IGNORED",
    "PROTOCOLS",
    "STANDARD",
    "ClassificationScores",
    "Evaluator",
    "SegmentationScores",
    "SurfaceDistances",
    "class_structural_similarity",
    "confuse_mask",
    "confusion_matrix",
    "confusion_of_pixels",
    "count_mask",
    "evaluate_classification",
    "evaluate_segmentation",
    "expected_calibration_error",
    "measure_mask",
    "pixel_counts",
    "scores_from_counts",
    "scores_of_images",
    "scores_of_rows",
    "surface_distances",
]
