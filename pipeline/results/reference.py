"""Writes the page on the columns of results.parquet, saved rows, histories and comparisons, from the lists of columns and metrics.

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

HISTORY: Mapping[str, str] = {
    "epoch": "Number of the epoch, from 1.",
    "seconds": "Duration of the epoch, without validation and saving.",
    "images_per_second": "Training images of the epoch, divided by `seconds`.",
    "memory_mib": "Peak memory in MiB since the training started: on a GPU the memory that torch allocated, on a CPU that of the whole "
    "process.",
    "learning_rate": "Learning rate of the epoch.",
    "loss_<task>": "Mean loss of the task over the steps of the epoch, before the weighting.",
    "weight_<task>": "Mean weight of the task over the steps of the epoch, as the weighting returns it.",
    "gradient_norm_<task>": "Norm of the gradient of the task's loss with respect to the shared parameters. For a gradient weighting it is "
    "a mean over all steps of the epoch, for a loss weighting it is the value of the first step. The column is absent for a single task.",
    "cosine_<task>_<task>": "Cosine between these gradients of two tasks, from the same steps. The column is absent for a single task.",
    "experts_<task>": "Number of experts that the task selects, as a mean over the images of the last batch. Only for `dselect_k`.",
    "validation": "Mean of accuracy and mIoU, from 0 to 1, in epochs that were validated. Only with `select_on: val` or `test`, or with "
    "`score_every`.",
}
"""Meaning of each column of history.csv. A task is `activity` or `segmentation`."""

_ABOUT_COMPARED = {
    "dataset": "Title of the dataset that the models were tested on.",
    "metric": "Name of the metric, see [metrics](#metrics).",
}
_ABOUT_INTERVALS = {
    "seeds": "Number of seeds of the model; in `table_pairs` the smaller number of the two models.",
    "interval_over": "Number of sequences, or of images whose sequence is not known, that the intervals are computed over.",
    "unit": "Unit of the numbers: % (differences are in percentage points) or px.",
}
_LAST_COLUMNS = {
    "synthetic": "Whether the images were generated.",
    "partial": "Whether a dataset of the study lacks frames.",
    "select_on": "How the epoch was selected: `last`, `val` or `test`.",
    "protocol": "How the metrics are computed; always `standard`.",
}
COMPARISON: Mapping[str, str] = {
    **_ABOUT_COMPARED,
    "model": "Name of the model in tables.",
    "value": "The score; a mean over the seeds.",
    "low": "Lower end of the 95 % interval of the score. It may be outside of the possible range. Empty without an interval.",
    "high": "Upper end of this interval.",
    "rank": "Place of the model among the models of the dataset; 1 is the best. Equal scores share the better place.",
    "rank_low": "Best place that the model may have: 1 plus the number of models that are significantly better.",
    "rank_high": "Worst place that the model may have: the number of models minus the number of those that are significantly worse.",
    "to_best": "The score minus the score of the model in `best`.",
    "to_best_low": "Lower end of the 95 % interval of the difference to the best model, whichever model is truly the best. No end of this "
    "interval is better than 0.",
    "to_best_high": "Upper end of this interval.",
    "best": "Name of the model with the best score in this metric.",
    **_ABOUT_INTERVALS,
    **_LAST_COLUMNS,
}
"""Meaning of each column of table_comparison.csv."""

PAIRS: Mapping[str, str] = {
    **_ABOUT_COMPARED,
    "model": "Name of one model.",
    "other": "Name of the other model.",
    "difference": "The score of `model` minus the score of `other`.",
    "low": "Lower end of the 95 % interval of the difference. A difference is found only if its interval excludes 0.",
    "high": "Upper end of this interval.",
    "p": "Two-sided p-value of no difference between these two models. It is not adjusted for the number of pairs.",
    **_ABOUT_INTERVALS,
    **_LAST_COLUMNS,
}
"""Meaning of each column of table_pairs.csv."""

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
_HISTORY = """
## history.csv

`results/<study>/cells/<id>/history.csv` has one row per epoch of a training. `<task>` stands for `activity` or `segmentation`.
"""
_COMPARISONS = """
## Comparisons

`results/<study>/tables/table_comparison.csv` has one row per dataset, metric and model. `table_pairs.csv` has one row per dataset, metric
and pair of models. [Statistics](../statistics.md#intervals-and-verdicts) explains intervals and p-values.

### table_comparison.csv
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
    results = {name: RESULTS[name] for name in COLUMNS}
    parts = [_HEAD, _meanings(results), _ROWS, _meanings(_saved_columns())]
    parts += [_HISTORY, _meanings(HISTORY), _COMPARISONS, _meanings(COMPARISON)]
    parts += ["\n### table_pairs.csv\n", _meanings(PAIRS), _METRICS]
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


def _saved_columns() -> Mapping[str, str]:
    counted = {f"{name}_<i>": _COUNTED[name] for name in COUNTED}
    measured = {f"{name}_<i>": _MEASURED[name] for measurement in MEASUREMENTS for name in measurement.names}
    return {**_ABOUT_IMAGE, **_ACTIVITY, **counted, **measured, **_OF_MASK, **_CONDITION}


def _meanings(columns: Mapping[str, str]) -> str:
    return _table(("column", "meaning"), [(f"`{name}`", meaning) for name, meaning in columns.items()])


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
