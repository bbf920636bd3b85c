"""The table of all metrics. It says for each metric the name, how the metric is computed, and where it is shown.

Every list of metrics in results, tables, comparisons, figures and pages comes from here. To add a metric, write a function in any file
of this folder, and an entry below; it is shown everywhere unless the entry says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics import authors_code, counts
from endoarss.metrics.calibration import calibration_error
from endoarss.metrics.counts import ACTIVITIES, CALIBRATION, MISSING, MODAL, PIXELS
from endoarss.metrics.protocol import AUTHORS_CODE, STANDARD
from endoarss.metrics.structural import class_structural_similarity
from endoarss.metrics.surface import surface_distances

ACCURACY, MACRO_F1, F1 = "accuracy", "macro_f1", "f1"
MIOU, IOU, DICE = "miou", "iou", "dice"
HD, HD95, ASSD, SSIM = "hd", "hd95", "assd", "ssim"
ACCURACY_SPREAD, MIOU_SPREAD = "accuracy_spread", "miou_spread"

MAIN = (ACCURACY, MIOU)
"""The main metric of each task. Their mean selects epochs, coefficients and the cells in figures."""

Function = Callable[[NDArray[Any]], counts.Array]
PERCENT, PIXEL, NUMBER = "%", "px", ""


class Shown(Flag):
    """The places where the score of a whole test set is shown. The protocol "authors_code" uses only TABLES and NOWHERE."""

    TABLES = auto()
    """Tables of datasets, of the ablation and of ranks; the data of the merging table."""
    COUNTS = auto()
    """Only the data of a dataset's table, after the scores."""
    COMPARED = auto()
    """Statistics: confidence intervals, pairwise differences of models, ranks."""
    PRINTED = auto()
    """The printed table of statistics; the other metrics are in its CSV."""
    CONDITIONS = auto()
    """Robustness under each condition: the CSV, and the curves on the page."""
    SUMMARY = auto()
    """Summaries of robustness: table 7, figure 6, retention, heat map. Also the cost figure, and the best models on the page."""
    MERGING = auto()
    """The printed table of merging."""
    LEAKAGE = auto()
    """The table of data leakage."""
    IMAGE = auto()
    """Below each image in the gallery of the page."""
    OF_ACTIVITIES = TABLES | COMPARED | PRINTED | CONDITIONS | SUMMARY | MERGING | LEAKAGE
    EVERYWHERE = OF_ACTIVITIES | IMAGE
    NOWHERE = 0


@dataclass(frozen=True)
class Metric:
    """The name of a metric, how it is computed, and where it is shown.

    Attributes:
        name: the name in results.
        title: the title in headings.
        needs: the name of the counts that its functions take (`metrics.counts`); rows without these counts have no such score.
        whole: function from counts (..., 3, K) or (..., 2, K) of K labels to the score of the whole test set (...); None if only single
            labels have a score.
        of_labels: function from counts to the scores of single labels (..., L); None if single labels have no score. If L is smaller than
            the number of classes, the scores belong to the last L classes, for example to all except the background.
        of_image: function like `whole`, if the score of a single image is defined differently.
        unit: "%" (of a stored fraction), "px" or "".
        higher_is_better: whether the higher of two values is better; None if neither is.
        in_text: the title within a sentence, if it differs.
        shown: where `whole` is shown.
    """

    name: str
    title: str
    needs: str
    whole: Function | None = None
    of_labels: Function | None = None
    of_image: Function | None = None
    unit: str = PERCENT
    higher_is_better: bool | None = True
    in_text: str = ""
    shown: Shown = Shown.EVERYWHERE

    def __post_init__(self) -> None:
        if self.whole is None:
            return
        if Shown.SUMMARY in self.shown and not (self.unit == PERCENT and self.higher_is_better):
            raise ValueError(
                f"metric {self.name}: shown in SUMMARY, where scores are divided by the clean score; expected a percentage where higher is "
                "better. Remove SUMMARY from `shown`."
            )
        if Shown.COMPARED in self.shown and self.higher_is_better is None:
            raise ValueError(
                f"metric {self.name}: shown in COMPARED, where models are ranked; expected higher_is_better True or False. Remove COMPARED "
                "from `shown`."
            )
        if Shown.IMAGE in self.shown and self.of_activities:
            raise ValueError(
                f"metric {self.name}: shown below each IMAGE, which has only one predicted activity; expected a metric of masks. Remove "
                "IMAGE from `shown`: Shown.OF_ACTIVITIES."
            )

    @property
    def scale(self) -> float:
        """Return the factor that converts a stored value to the unit."""
        return 100.0 if self.unit == PERCENT else 1.0

    @property
    def head(self) -> str:
        """Return the heading of a column or an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def text(self) -> str:
        """Return the title within a sentence."""
        return self.in_text or self.title

    @property
    def of_activities(self) -> bool:
        """Return whether the metric scores activities, so that it needs no masks."""
        return self.needs in (ACTIVITIES, MODAL, CALIBRATION)


@dataclass(frozen=True)
class Measurement:
    """A measurement of each foreground class in one image; saved rows hold it in the columns <name>_<i>.

    Attributes:
        names: the names of the values.
        measure: function from ground truth and prediction, uint8 (H, W), and the number of classes C to one array (C,) per name; NaN for a
            class in neither mask.
        lowest: the smallest possible value.
        always: whether a class in either mask always has a value, whatever the size of the image.
    """

    names: Sequence[str]
    measure: Callable[[NDArray[np.uint8], NDArray[np.uint8], int], Sequence[counts.Array]]
    lowest: float = 0.0
    always: bool = True


def _distances(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> Sequence[counts.Array]:
    """Return HD, HD95 and ASSD of each class."""
    distances = surface_distances(truth, prediction, classes)
    return distances.hd, distances.hd95, distances.assd


def _similarity(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> Sequence[counts.Array]:
    """Return the SSIM of each class."""
    return (class_structural_similarity(truth, prediction, classes),)


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement((HD, HD95, ASSD), _distances),
    Measurement((SSIM,), _similarity, lowest=-1.0, always=False),
)


def _mean_over_labels(of_labels: Function) -> Function:
    """Return a function that returns the mean score over all labels. Counts of whole images have only one label."""
    return lambda found: np.asarray(of_labels(found).mean(axis=-1))


# A mean over images, then over the foreground classes with ground truth.
_MeanOfImages = partial(Metric, whole=counts.mean_of_labels, of_labels=counts.mean_of_images)
_DistanceMetric = partial(_MeanOfImages, unit=PIXEL, higher_is_better=False)
# A number that readers need to know, not a score.
_NumberMetric = partial(Metric, unit=NUMBER, higher_is_better=False, shown=Shown.COUNTS)
# IoU and Dice of one image are means over the classes in its ground truth or prediction; a class in the prediction alone counts as 0.
_image_iou = partial(counts.mean_iou, selected=counts.in_either)
_image_dice = partial(counts.mean_dice, selected=counts.in_either)
_ACTIVITY, _STATISTICS = Shown.OF_ACTIVITIES, Shown.TABLES | Shown.COMPARED
_DICE = _STATISTICS | Shown.CONDITIONS | Shown.MERGING | Shown.IMAGE
_FOREGROUND = Shown.TABLES | Shown.LEAKAGE

_STANDARD: tuple[Metric, ...] = (
    Metric(ACCURACY, "Accuracy", ACTIVITIES, counts.accuracy, in_text="accuracy", shown=_ACTIVITY),
    Metric(MACRO_F1, "Macro F1", ACTIVITIES, counts.mean_dice, in_text="macro F1", shown=_ACTIVITY & ~Shown.SUMMARY),
    Metric("ece", "ECE", CALIBRATION, calibration_error, higher_is_better=False, shown=Shown.TABLES),
    Metric(
        "modal_share",
        "Share of the most frequent answer",
        MODAL,
        _mean_over_labels(counts.mean_of_images),
        higher_is_better=None,
        shown=Shown.CONDITIONS,
    ),
    Metric("precision", "Precision", ACTIVITIES, of_labels=counts.precision),
    Metric("recall", "Recall", ACTIVITIES, of_labels=counts.recall),
    Metric(F1, "F1", ACTIVITIES, of_labels=counts.dice),
    Metric(MIOU, "mIoU", PIXELS, counts.mean_iou, of_image=_image_iou),
    Metric(IOU, "IoU", PIXELS, of_labels=counts.iou),
    Metric(DICE, "Dice", PIXELS, counts.mean_dice, counts.dice, _image_dice, shown=_DICE),
    Metric("pixel_precision", "Pixel precision", PIXELS, of_labels=counts.precision),
    Metric("pixel_recall", "Pixel recall", PIXELS, of_labels=counts.recall),
    Metric("miou_foreground", "mIoU fg", PIXELS, lambda pixels: counts.mean_iou(pixels[..., 1:]), shown=_FOREGROUND),
    Metric("dice_foreground", "Dice fg", PIXELS, lambda pixels: counts.mean_dice(pixels[..., 1:]), shown=Shown.TABLES),
    _DistanceMetric(HD, "HD", HD, shown=_STATISTICS),
    _DistanceMetric(HD95, "HD95", HD95, shown=_DICE | Shown.PRINTED),
    _DistanceMetric(ASSD, "ASSD", ASSD, shown=_STATISTICS | Shown.CONDITIONS),
    _MeanOfImages(SSIM, "SSIM", SSIM, shown=_STATISTICS | Shown.MERGING),
    _NumberMetric("predictions_without_support", "Answers without truth", ACTIVITIES, counts.without_truth),
    _NumberMetric(
        "surface_missing",
        "Missing surfaces",
        MISSING,
        lambda found: found[..., 0, :].sum(axis=-1),
        lambda found: found[..., 0, :],
    ),
)

_AUTHORS_CODE: tuple[Metric, ...] = (
    Metric(ACCURACY, "AC", ACTIVITIES, _mean_over_labels(authors_code.accuracy_eps), shown=Shown.TABLES),
    Metric(MACRO_F1, "F", ACTIVITIES, _mean_over_labels(authors_code.f_eps), shown=Shown.TABLES),
    Metric(ACCURACY_SPREAD, "± AC", ACTIVITIES, authors_code.spread_of_accuracy, shown=Shown.NOWHERE),
    Metric("precision", "Precision", ACTIVITIES, of_labels=authors_code.precision_eps),
    Metric("recall", "Recall", ACTIVITIES, of_labels=authors_code.recall_eps),
    Metric(F1, "F1", ACTIVITIES, of_labels=authors_code.f_eps),
    Metric(MIOU, "mIoU", PIXELS, _mean_over_labels(authors_code.iou_absent_zero), shown=Shown.TABLES),
    Metric(IOU, "IoU", PIXELS, of_labels=authors_code.iou_absent_zero),
    Metric(
        DICE,
        "DS",
        PIXELS,
        _mean_over_labels(authors_code.dice_absent_zero),
        authors_code.dice_absent_zero,
        shown=Shown.TABLES,
    ),
    Metric("pixel_precision", "Pixel precision", PIXELS, of_labels=counts.precision),
    Metric("pixel_recall", "Pixel recall", PIXELS, of_labels=counts.recall),
    _NumberMetric(HD, "HD", counts.ROW_HD, _mean_over_labels(counts.mean_of_images), shown=Shown.TABLES),
    Metric(SSIM, "SSIM", counts.LABEL_MAP_SSIM, _mean_over_labels(counts.mean_of_images), shown=Shown.TABLES),
    Metric(MIOU_SPREAD, "± mIoU", counts.IOU_BY_ACTIVITY, authors_code.spread_of_iou, shown=Shown.NOWHERE),
)

METRICS: Mapping[str, tuple[Metric, ...]] = {STANDARD: _STANDARD, AUTHORS_CODE: _AUTHORS_CODE}
"""The metrics of each protocol, in the order of columns."""


def metrics_by_name(protocol: str = STANDARD) -> dict[str, Metric]:
    """Return the metrics of a protocol by name, in the order of columns."""
    return {metric.name: metric for metric in METRICS[protocol]}


def shown_metrics(where: Shown, protocol: str = STANDARD) -> dict[str, Metric]:
    """Return the metrics of whole test sets that are shown in any of the given places, by name, in the order of columns."""
    return {m.name: m for m in METRICS[protocol] if m.whole is not None and m.shown & where}


def label_metrics(of_activities: bool, protocol: str = STANDARD) -> dict[str, Metric]:
    """Return the metrics of single activities, or of single classes, by name, in the order of columns."""
    return {m.name: m for m in METRICS[protocol] if m.of_labels is not None and m.of_activities == of_activities}
