"""Writes the page on the columns of results.parquet and of saved rows, from the lists of columns and metrics.

Run `python -m pipeline.results.reference` to write it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from endoarss.metrics import STANDARD
from endoarss.metrics.catalogue import MEASUREMENTS, METRICS, Metric
from endoarss.metrics.counts import COUNTED
from pipeline.io.files import write_if_changed
from reports.results import COLUMNS

PAGE = Path("docs/reference/columns.md")

RESULTS: Mapping[str, str] = {
    "study": "Name of the study.",
    "dataset": "Dataset that the model was trained on, as the study names it.",
    "split": "Rule by which frames were divided into training and test split.",
    "backbone": "Name of the backbone in the study; `reference` for predictions that need no model.",
    "backbone_label": "Name of the backbone in tables.",
    "architecture": "Name of the architecture; for a reference, the name of the reference.",
    "weighting": "Name of the weighting; empty for merged models and references.",
    "weights_source": "Source of the backbone's initial weights: `none`, `hub`, `file` or `generated`.",
    "weights_sha256": "SHA-256 of these weights; empty if there are none.",
    "variant": "Last part of the cell's id, for example `r4-s0`: rank of the adapters, seed, and how the epoch was selected.",
    "merger": "Name of the merger; empty for models that were trained.",
    "surgery": "Rank of Representation Surgery; 0 without it.",
    "seed": "Seed of the training.",
    "select_on": "How the epoch was selected: `last`, `val` or `test`; empty for references.",
    "synthetic": "Whether the images were generated.",
    "eval_dataset": "Dataset that the model was tested on.",
    "eval_split": "Split that the model was tested on; always `test`.",
    "corruption": "Name of the corruption; empty for clean images.",
    "severity": "Severity from 1 to 5; 0 for clean images.",
    "mask_warped": "False if the corruption moves pixels and the prediction was compared with the unmoved mask; otherwise True. "
    "No mean includes rows with False.",
    "resolution": "Side of the input in pixels.",
    "protocol": "How the metrics are computed: `standard` or `authors_code`.",
    "metric": "Name of the metric, see [metrics](#metrics).",
    "class": "Class or activity of the score; empty for the score over all of them.",
    "value": "The score. Shares are from 0 to 1, distances are in pixels of `resolution`. Empty if the score is not defined.",
    "n": "Number of images that the score was computed from. For a class, the number of images that have it.",
}
"""Meaning of each column of results.parquet."""

_ABOUT_IMAGE = {
    "frame_id": "Id of the image in the dataset's manifest.csv.",
    "sequence": "Video sequence of the image; empty if it is not known.",
}
_ACTIVITY = {
    "activity_true": "Id of the true activity.",
    "activity_predicted": "Id of the predicted activity.",
    "activity_confidence": "Probability of the predicted activity. The column is absent if it is not known.",
}
_COUNTED = {
    "both": "Pixels of class i in both truth and prediction.",
    "truth": "Pixels of class i in the truth.",
    "predicted": "Pixels of class i in the prediction.",
}
_MEASURED = {
    "hd": "Hausdorff distance of class i, in pixels.",
    "hd95": "95th percentile of the distances of class i, in pixels.",
    "assd": "Mean distance between the outlines of class i in truth and prediction, in pixels.",
    "ssim": "Structural similarity of the two binary masks of class i.",
}
_OF_MASK = {
    "row_hd": "Distance that the protocol `authors_code` calls HD.",
    "label_map_ssim": "Similarity that the protocol `authors_code` calls SSIM.",
    "pixels_<i>_<j>": "Pixels of class i that were predicted as class j. Only for clean images.",
}
_CONDITION = {name: RESULTS[name] for name in ("corruption", "severity", "mask_warped")}

_HEAD = """# Columns of result files

Read `results.parquet` with pandas to compute your own figures, as [the tutorial](../tutorials/pandas.md) shows. This page is generated
by `python -m pipeline.results.reference`.

## results.parquet

`results/<study>/results.parquet` has one row per measurement: one metric of one model under one condition, over all classes or
of one class.
"""
_ROWS = """
## Saved rows

Each evaluation saves one row per image, so every score can be computed again without the model:

- `cells/<id>/eval/<dataset>/per_image.parquet` holds the clean test images;
- `cells/<id>/robustness/per_image.parquet` holds the same images under each corruption and severity.

Ids of classes and activities count from 0, in the order of the dataset's `dataset.json`; class 0 is the background. `<i>` stands for
the id of a class. Distances and similarities exist only for foreground classes. They are empty (NaN) if the class is in neither mask.
"""
_METRICS = """
## Metrics

The column `metric` holds these names. Values with the unit % are stored as shares from 0 to 1.
[Metrics and protocols](../protocols.md) defines each metric.
"""


def columns_page() -> str:
    """Return the page of columns as Markdown.

    Raises:
        KeyError: if a column of results or of saved rows has no meaning here.
    """
    results = [(f"`{name}`", RESULTS[name]) for name in COLUMNS]
    parts = [_HEAD, _table(("column", "meaning"), results), _ROWS, _table(("column", "meaning"), _saved_columns())]
    parts.append(_METRICS)
    for protocol, metrics in METRICS.items():
        rows = [_metric_row(metric) for metric in metrics]
        parts.append(
            f"\n### Protocol {protocol}\n\n{_table(('metric', 'in tables', 'unit', 'better', 'computed for'), rows)}"
        )
        if protocol == STANDARD:
            parts.append(
                "\nMerged models have `bias`, `bias_activity` and `bias_segmentation` as well: the mean L1 distance between their "
                "representations and those of the single-task models.\n"
            )
    return "\n".join(parts)


def _saved_columns() -> Iterable[tuple[str, str]]:
    counted = {f"{name}_<i>": _COUNTED[name] for name in COUNTED}
    measured = {f"{name}_<i>": _MEASURED[name] for measurement in MEASUREMENTS for name in measurement.names}
    columns = {**_ABOUT_IMAGE, **_ACTIVITY, **counted, **measured, **_OF_MASK, **_CONDITION}
    return [(f"`{name}`", meaning) for name, meaning in columns.items()]


def _metric_row(metric: Metric) -> tuple[str, ...]:
    labels = "each activity" if metric.of_activities else "each class"
    whole = "all" if metric.whole else ""
    levels = " and ".join(part for part in (whole, labels if metric.of_labels else "") if part)
    better = {True: "higher", False: "lower", None: ""}[metric.higher_is_better]
    spread = metric.whole is not None and not metric.shown  # a spread (±) of another score is not a score itself
    return f"`{metric.name}`", metric.title, metric.unit, "" if spread else better, levels


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    write_if_changed(PAGE, columns_page())
