"""Draws the image of the README: an image under one corruption, a model's prediction, and the scores against severity."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from reports.figures.style import LINES, MARKERS, STYLE
from reports.page import Gallery, GalleryDataset
from reports.page.gallery import condition_key

_METRIC = "miou"
_OPACITY = 0.65


def draw_corruption_and_curve(gallery: Gallery, scores: Mapping[str, Any], corruption: str, path: Path) -> None:
    """Draw the first image of the first dataset under a corruption, its mask, the last model's prediction, and the curves of all models.

    Args:
        gallery: the gallery of the page.
        scores: the content of the page's `Scores`.
        corruption: the corruption to show.
        path: the WebP file to write.
    """
    dataset = gallery.datasets[0]
    measured = next(entry for entry in scores["datasets"] if entry["title"] == dataset.title)
    title = (
        f"{dataset.title} under {corruption}; prediction: {dataset.models[-1].label}. SYNTHETIC DATA (generated scenes)"
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.1), layout="constrained")
        figure.suptitle(title, fontsize=9, color="0.3")
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        _draw_images(halves[0], gallery, dataset, corruption)
        _draw_curves(halves[1].subplots(), measured, corruption)
        figure.savefig(path, format="webp", dpi=150, pil_kwargs={"quality": 85, "method": 6})


def _draw_images(figure: SubFigure, gallery: Gallery, dataset: GalleryDataset, corruption: str) -> None:
    """Draw the image, its ground truth and the prediction at each severity."""
    panels = figure.subplots(3, 1 + len(dataset.severities))
    for column, severity in enumerate((0, *dataset.severities)):
        key = condition_key(corruption if severity else "", severity)
        number, truth = dataset.images[0].pictures[key]
        image = picture_of(gallery.pictures.urls[number])
        panels[0, column].imshow(image)
        panels[0, column].set_title("clean" if severity == 0 else f"severity {severity}", fontsize=8)
        for axes, mask in zip(panels[1:, column], (truth, dataset.models[-1].masks[key][0]), strict=True):
            axes.imshow(image if mask is None else overlaid(image, picture_of(gallery.pictures.urls[mask])))
    for axes, row in zip(panels[:, 0], ("image", "truth", "prediction"), strict=True):
        axes.set_ylabel(row, fontsize=8)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    classes = [Patch(color=colour, label=name) for name, colour in dataset.classes]
    figure.legend(handles=classes, loc="outside lower center", ncols=3, fontsize=7, frameon=False)


def _draw_curves(axes: Axes, measured: Mapping[str, Any], corruption: str) -> None:
    """Draw the score of each model against severity."""
    severities = [0, *measured["severities"]]
    colours = sns.color_palette("colorblind", len(measured["values"]))
    for i, (model, values) in enumerate(measured["values"].items()):
        points = values[_METRIC][corruption]
        measured_points = [
            (severity, 100 * np.array(point)) for severity, point in zip(severities, points, strict=True) if point
        ]
        measured_severities = [severity for severity, _ in measured_points]
        scores = [point[0] for _, point in measured_points]
        axes.plot(measured_severities, scores, color=colours[i], label=model, marker=MARKERS[i], linestyle=LINES[i])
        bands = np.array([(severity, *point[1:]) for severity, point in measured_points if len(point) == 3])
        if len(bands):
            axes.fill_between(bands[:, 0], bands[:, 1], bands[:, 2], color=colours[i], alpha=0.12, linewidth=0)
    axes.set(xlabel="severity (0: clean)", ylabel="mIoU (%)", xticks=severities, ylim=(0, None))
    axes.legend(fontsize=7, frameon=False)


def picture_of(url: str) -> NDArray[np.uint8]:
    """Return the image of a data URL as RGBA, uint8 (H, W, 4)."""
    content = base64.b64decode(url.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def overlaid(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image with a mask drawn over it.

    Args:
        image: uint8 (H, W, 4).
        mask: uint8 (H, W, 4) in the colours of its classes; transparent in the background.

    Returns:
        uint8 (H, W, 4).
    """
    share = _OPACITY * (mask[..., 3:] / 255)
    mixed = image[..., :3] * (1 - share) + mask[..., :3] * share
    return np.dstack([mixed.round().astype(np.uint8), image[..., 3]])
