"""Makes the tables and figures of robustness, for the models of a study and for external models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from corruptions.catalogue import STANDARD_CORRUPTIONS, known_categories, known_corruptions
from corruptions.field_of_view import KEEP
from endoarss.metrics.catalogue import ACCURACY
from pipeline.io.files import whole_file
from pipeline.reporting.models import label_of, robust_models
from pipeline.reporting.report_table import ReportTable, write_tables
from pipeline.results.study_results import StudyResults
from pipeline.study.conditions import conditions_of, training_corruptions
from pipeline.study.datasets import titles_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_baseline
from reports import names
from reports.figures.heatmap import draw_heatmap
from reports.figures.robustness import draw_retention, draw_severity
from reports.statistics.robustness import EvaluatedModel, Robustness, measure_robustness
from reports.statistics.variation import say_intervals
from reports.tables.robustness import (
    readable_robustness,
    readable_robustness_summary,
    table_robustness,
    table_robustness_conditions,
    table_robustness_summary,
)


def write_robustness_report(
    robustness: Robustness, folder: Path, caption: str, last_columns: Mapping[str, object]
) -> None:
    """Write tables and figures into tables/ and figures/ of a folder.

    Args:
        robustness: The measured robustness.
        folder: The folder.
        caption: The text on the data in every figure and caption.
        last_columns: The last columns of every CSV, with their only value.
    """
    write_tables(robustness_tables(robustness), folder / "tables", caption, last_columns)
    for name, draw in robustness_drawers(robustness, caption).items():
        png_file, pdf_file = (folder / "figures" / f"{name}.{kind}" for kind in ("png", "pdf"))
        with whole_file(png_file) as png, whole_file(pdf_file) as pdf:
            draw(png, pdf)


def robustness_tables(
    robustness: Robustness, gaps: str = "", without_results: Sequence[tuple[str, str]] = ()
) -> dict[str, ReportTable]:
    """Return the tables of robustness by name.

    Args:
        robustness: The measured robustness.
        gaps: A text on models without results.
        without_results: Dataset and label of each model without results.
    """
    intervals, notes, levels = say_intervals(robustness.intervals), " ".join(robustness.notes), _severities(robustness)
    means = table_robustness(robustness.summary, robustness.categories)
    summary = table_robustness_summary(robustness.summary)
    shown, legend = robustness.for_readers(), robustness.legend()
    shown_summary = readable_robustness_summary(shown.summary, without_results)
    heads = " ".join(text for head, text in _SUMMARY_NOTES.items() if head in shown_summary)
    accuracy = _ACCURACY_NOTE if ACCURACY in set(robustness.summary["metric"]) else ""
    return {
        names.TABLE_ROBUSTNESS: ReportTable(
            f"Robustness: mean over severities {levels} of each corruption",
            means,
            readable_robustness(table_robustness(shown.summary, shown.categories), without_results),
            note=" ".join(filter(None, [_MEANS_NOTE, accuracy, _INTERVALS_NOTE, legend, intervals, gaps])),
            protocol="standard",
        ),
        names.TABLE_ROBUSTNESS_SUMMARY: ReportTable(
            "Robustness, summed up (%)",
            summary,
            shown_summary,
            note=" ".join(filter(None, [f"Severities: {levels}.", heads, legend, intervals, notes, gaps])),
            protocol="standard",
        ),
        names.TABLE_ROBUSTNESS_CONDITIONS: ReportTable(
            "Every score under every condition",
            table_robustness_conditions(robustness.conditions),
            None,
            protocol="standard",
        ),
    }


_MEANS_NOTE = (
    'If a corruption moves pixels, true masks are moved in the same way; only rows named "masks not moved" have the original masks, and no '
    'mean includes them. "mean corrupted" is the mPC.'
)
_ACCURACY_NOTE = "Accuracy does not depend on masks."
_INTERVALS_NOTE = "Intervals are in the CSV."
# By column of the summary, because a table without a baseline lacks columns.
_SUMMARY_NOTES = {
    "mPC": "mPC: mean over corruptions and severities.",
    "rPC": "rPC: mPC / clean.",
    "Retention area": "Retention area: the area below score / clean against severity.",
    "mCE": (
        "mCE: error as a share of the error of the baseline, which is named below, as a mean over corruptions. It can "
        "exceed 100 although the mean error is lower. Relative mCE: loss of score as a share of the baseline's loss, which is very "
        "uncertain if the baseline loses little. Lower is better for both."
    ),
    "Worst corruption": "Worst corruption: its mean over severities.",
}


def _severities(robustness: Robustness) -> str:
    """Return the severities of the means, as captions list them."""
    levels = robustness.summary.loc[robustness.summary["quantity"] == "severity_mean", "of"]
    return ", ".join(sorted(set(levels), key=int))


def robustness_drawers(robustness: Robustness, caption: str) -> dict[str, Callable[[Path, Path], None]]:
    """Return the function that draws each figure of robustness, by name."""
    head = f"{caption}\nSeverities: {_severities(robustness)}. {robustness.legend()}".rstrip()
    head_of_curves = f"{say_intervals(robustness.intervals)}\n{head}"
    shown = robustness.for_readers()
    return {
        names.FIGURE_SEVERITY: partial(draw_severity, shown.summary, head_of_curves),
        names.FIGURE_RETENTION: partial(draw_retention, shown.summary, head_of_curves),
        names.FIGURE_HEATMAP: partial(draw_heatmap, shown.summary, shown.categories, head),
    }


def measure_study(results: StudyResults) -> Robustness | None:
    """Return the robustness of a study's evaluated cells, or None if no cell has results.

    Raises:
        InputError: As in `evaluated_models`.
        ResultsError: As in `measure_robustness`.
    """
    models = evaluated_models(results, tuple(results.study.datasets))
    return measure_models(results.study, models, baselines_of(results)) if models else None


def measure_models(
    study: Study, models: Sequence[EvaluatedModel], baselines: Mapping[str, str], trained: bool = True
) -> Robustness:
    """Return the robustness of models. Corruptions beyond the paper's nineteen, and corruptions in training, are marked.

    Args:
        study: The study, which defines the corruptions.
        models: The models, as in `measure_robustness`.
        baselines: The baselines, as in `measure_robustness`.
        trained: Whether the study trained one of the models.

    Raises:
        ResultsError: As in `measure_robustness`.
    """
    own_corruptions = [name for name in known_corruptions() if name not in STANDARD_CORRUPTIONS]
    in_training = training_corruptions(study) if trained else None
    trained_on = in_training.names if in_training else ()
    return replace(
        measure_robustness(models, known_categories(), baselines, own_corruptions, trained_on),
        how_corrupted=field_of_view_note(study),
    )


def field_of_view_note(study: Study) -> str:
    """Return a sentence if the study does not corrupt the black border around round views, otherwise ""."""
    return "The black around round views is kept." if conditions_of(study).field_of_view == KEEP else ""


def evaluated_models(results: StudyResults, datasets: Sequence[str]) -> list[EvaluatedModel]:
    """Return the models of the evaluated cells of some datasets.

    Raises:
        InputError: If a file has invalid rows. The message names the file.
    """
    return [model for dataset in datasets for model in results.once(robust_models, dataset).values()]


def missing_baselines(results: StudyResults) -> str:
    """Return a sentence for each dataset whose baseline has no results."""
    study, missing = results.study, results.missing_robustness
    baselines = {dataset: robustness_baseline(study, dataset) for dataset in study.datasets}
    return " ".join(
        f"{titles_of(study)[dataset]}: without the baseline {label_of(study, cell)} there are no corruption errors, and each difference is "
        "to the first model."
        for dataset, cell in baselines.items()
        if cell in missing and cell is not None
    )


def baselines_of(results: StudyResults) -> dict[str, str]:
    """Return the label of the baseline of corruption errors by the title of its dataset."""
    study, missing = results.study, results.missing_robustness
    baselines = {title: robustness_baseline(study, dataset) for dataset, title in titles_of(study).items()}
    return {
        title: label_of(study, cell) for title, cell in baselines.items() if cell is not None and cell not in missing
    }
