"""Makes the page of a study from its saved results. No model runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from endoarss.metrics.catalogue import Shown, shown_metrics
from pipeline.io.files import read_json, write_text
from pipeline.reporting.captions import partial_note, study_caption
from pipeline.reporting.dataset_cards import card_of
from pipeline.reporting.models import named, notes_of_intervals
from pipeline.reporting.page_gallery import gallery_of, gallery_rows
from pipeline.reporting.page_tables import table_numbers, table_sections
from pipeline.reporting.robustness import measure_study
from pipeline.reporting.tables.make_tables import reductions_of_tables, study_tables
from pipeline.results import paths
from pipeline.results.study_results import Reduction, StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import merged_cells, merging_groups, models_of, trainings_of
from pipeline.study.datasets import labels_of, titles_of
from pipeline.study.folders import cell_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models, robustness_cells
from reports import names
from reports.numbering import numbered
from reports.page import DatasetCard, Facts, FigureSection, Gap, Page, TableSection, render_page, scores_of
from reports.page.gallery import css_colour
from reports.statistics.brackets import SHARE, with_brackets, with_sequences


def make_page(study: Study, results: StudyResults | None = None) -> None:
    """Write report/index.html from the saved results and figures.

    Args:
        study: The study.
        results: The results of the study, if they are already loaded.

    Raises:
        InputError: If a saved file is missing or cannot be read. The page names cells without results, which are no error.
        ResultsError: If saved results cannot be reported.
    """
    results = results or StudyResults(study, reductions_of_page(study))
    write_text(paths.report_file(study), render_page(page_of(results)))


def reductions_of_page(study: Study) -> dict[Reduction[Any], Collection[Cell]]:
    """Return the reductions of robustness rows that the page and its tables need, each with its cells."""
    return reductions_of_tables(study) | {gallery_rows: robustness_cells(study)}


def page_of(results: StudyResults) -> Page:
    """Return the content of the page."""
    study, tables, robustness = results.study, results.once(study_tables), results.once(measure_study)
    categories = robustness.categories if robustness is not None else ()
    figures = _figures(study)
    # Contact sheets are shown with their datasets.
    sheets = {dataset: Path(paths.contact_sheet(dataset)).stem for dataset in study.datasets}
    numbers = table_numbers(tables, study.compare_with_paper)
    return Page(
        facts=_facts(results),
        glance=_glance(tables[names.TABLE_COMPARISON].data),
        glance_note=(
            f"Best: the highest score in this study. Table {numbers[names.TABLE_COMPARISON]} shows which models may be equally good. "
            + notes_of_intervals(results)
        ),
        claims=_claims(tables[names.TABLE_CLAIMS].data, numbers[names.TABLE_CLAIMS])
        if study.compare_with_paper and not study.synthetic
        else "",
        gaps=_gaps(results),
        tables=table_sections(tables, numbers, categories),
        scores=scores_of(robustness) if robustness is not None else None,
        gallery=gallery_of(results) if robustness is not None else None,
        figures=[figure for name, figure in figures.items() if name not in sheets.values()],
        datasets=[_card(study, dataset, figures[sheet]) for dataset, sheet in sheets.items()],
        provenance=_provenance(results),
    )


def _facts(results: StudyResults) -> Facts:
    study = results.study
    return Facts(
        title=study.title,
        study=study.name,
        protocol=study.protocol,
        seeds=list(study.seeds),
        trained=len(trainings_of(study)),
        resolution=study.input_size,
        synthetic=study.synthetic,
        caption=study_caption(results),
        partial=partial_note(study),
        merged=len(merged_cells(study)),
    )


def _glance(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the summary at the top of the page: the best model of each dataset in each main metric, with its score."""
    best = comparison[comparison["rank"] == 1].reset_index()
    units = dict(zip(best["dataset"], best["interval_over"], strict=True))
    rows: dict[str, dict[str, str]] = {}
    for metric, properties in shown_metrics(Shown.SUMMARY).items():
        of_metric = best[best["metric"] == metric]
        for dataset, group in of_metric.groupby("dataset", sort=False):
            first = group.iloc[0]
            name = first["model"] if len(group) == 1 else f"{len(group)} models with equal scores"
            score = with_brackets(first["value"], first["low"], first["high"], limits=SHARE)
            rows.setdefault(with_sequences(str(dataset), units), {})[f"Best {properties.head}"] = f"{score}, {name}"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Dataset").fillna("-")


def _claims(claims: pd.DataFrame, number: str) -> str:
    """Return a sentence that counts the claims by verdict, for the summary of a study with real data."""
    counts = claims["verdict"].str.split(",").str[0].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"The paper's claims, counted per dataset and metric: {verdicts}. Table {number} lists them with their differences."


def _gaps(results: StudyResults) -> list[Gap]:
    missing = results.missing_models
    gaps = [Gap(cell.id, named(results.study, cell), "results", reason) for cell, reason in missing.items()]
    return gaps + [
        Gap(cell.id, named(results.study, cell), "robustness", reason)
        for cell, reason in results.missing_robust_models.items()
        if cell not in missing
    ]


def _figures(study: Study) -> dict[str, FigureSection]:
    """Return all figures of the study by name, in their order."""
    pictures = {path.stem: path for path in paths.figure_files(study) if path.suffix in (".png", ".jpg")}
    sections = {}
    for name, number in numbered(pictures, study.compare_with_paper).items():
        short, title = names.figure_title(name, titles_of(study))
        sections[name] = FigureSection(
            name, f"{number}. {short}", f"Figure {number}. {title}", pictures[name], names.FIGURE_NOTES.get(name, "")
        )
    return sections


def _card(study: Study, dataset: str, sheet: FigureSection) -> DatasetCard:
    card, labels = card_of(study, dataset), labels_of(study, dataset)
    colours = list(zip(labels.classes[1:], map(css_colour, labels.palette[1:]), strict=True))
    anchor = f"dataset_{dataset}"
    return DatasetCard(
        anchor,
        card["title"],
        _card_facts(card),
        colours,
        _card_tables(card),
        sheet,
    )


def _card_facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    splits = ", ".join(f"{split} {count:,}" for split, count in card["frames_by_split"].items())
    expected = card["expected_frames"]
    frames = f"{card['frames']:,}" if expected is None else f"{card['frames']:,} of {expected:,} expected"
    facts = [("Key in studies", card["name"]), ("Frames", frames), ("Splits", splits)]
    if card.get("validation_frames"):
        facts.append(("Validation frames, of training", f"{card['validation_frames']:,}"))
    if card.get("split_rule"):
        facts.append(("Split rule", names.in_words(str(card["split_rule"]))))
    if "synthetic" in card:
        facts.append(("Data", "synthetic" if card["synthetic"] else "real"))
    if card.get("licences"):
        facts.append(("Licence", "; ".join(card["licences"])))
    for source, files in card.get("sources", {}).items():
        facts.append((f"Source {source}", f"{files['files']:,} files, sha256 {files['sha256'][:12]}"))
    if card.get("ignored_pixels"):
        share = card["ignored_pixels"] / (card["ignored_pixels"] + sum(card["pixels_of_class"].values()))
        facts.append(("Ignored pixels", f"{card['ignored_pixels']:,} ({100 * share:.1f} %)"))
    facts += [(f"Flag {name}", f"{flag['frames']:,} frames: {flag['meaning']}") for name, flag in card["flags"].items()]
    facts += [("Left out", f"{group['count']:,}: {group['reason']}") for group in card.get("left_out", [])]
    return facts


def _card_tables(card: dict[str, Any]) -> list[tuple[str, pd.DataFrame]]:
    tables = []
    pixels = card.get("pixels_of_class", {})
    for caption, key, name in (
        ("Frames with each class", "frames_with_class", "Class"),
        ("Frames of each activity", "frames_by_activity", "Activity"),
    ):
        if card[key]:
            frame = pd.DataFrame(
                {split.capitalize(): counts for split, counts in sorted(card[key].items(), reverse=True)}
            )
            if key == "frames_with_class" and sum(pixels.values()):
                frame["Pixels, all splits (%)"] = [100 * pixels[label] / sum(pixels.values()) for label in frame.index]
            tables.append((caption, frame.rename_axis(name)))
    return tables


def _provenance(results: StudyResults) -> list[TableSection]:
    """Return the tables of trainings, of evaluations of robustness, and of the software that ran them."""
    study, missing = results.study, results.missing_robust_models
    trained = {
        c: results.provenance(c)
        for c in models_of(study)
        if (cell_folder(study, c) / paths.CellOutput.PROVENANCE).is_file()
    }
    evaluated = {
        cell: read_json(paths.robustness_files(study, cell).provenance)
        for cell in robust_models(study)
        if cell not in missing
    }
    software: dict[tuple[tuple[str, str], ...], str] = {}

    def columns(cell: Cell, provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that both tables have."""
        versions = tuple(
            (name, str(version)) for name, version in {"python": provenance["python"], **provenance["packages"]}.items()
        )
        return {
            "Model": named(study, cell),
            "Cell": cell.id,
            "Checkpoint sha256": provenance["checkpoint_sha256"][:12],
            "Code": _commit(provenance["code"]),
            "Software": software.setdefault(versions, f"S{len(software) + 1}"),
            "Device": provenance["device"],
        }

    sections = []
    if trained:
        rows = [{**columns(cell, saved), **_training(saved)} for cell, saved in trained.items()]
        title = "Trainings and merged models" if merging_groups(study) else "Trainings"
        sections.append(TableSection("provenance_trainings", title, title, _TRAININGS_NOTE, _by_model(rows)))
    if evaluated:
        rows = [{**columns(cell, saved), "Frames": saved["frames"]} for cell, saved in evaluated.items()]
        title = "Evaluations of robustness"
        sections.append(TableSection("provenance_robustness", title, title, "", _by_model(rows)))
    if software:
        versions_by_set = pd.DataFrame({name: dict(versions) for versions, name in software.items()}).rename_axis(
            "Package"
        )
        sections.append(TableSection("provenance_software", "Software", "Software", _SOFTWARE_NOTE, versions_by_set))
    return sections


def _by_model(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).set_index(["Model", "Cell"])


_TRAININGS_NOTE = "Digests are the first 12 digits of SHA-256. Data is the digest of the manifest, which lists the digest of every image."
_SOFTWARE_NOTE = "Versions of the packages of each entry in the columns Software."


def _training(provenance: Mapping[str, Any]) -> dict[str, Any]:
    synthetic = " (synthetic)" if provenance.get("pretrained_on_synthetic") else ""
    return {
        "Seed": provenance["seed"],
        "Seconds": provenance["training_seconds"],
        "Images": provenance["training_images"],
        "Trained parameters": provenance["parameters"]["trained"],
        "All parameters": provenance["parameters"]["total"],
        "Weights": provenance["weights"]["source"] + synthetic,
        "Weights sha256": str(provenance["weights"].get("sha256") or "-")[:12],
        "Data": str(provenance.get("manifest_sha256") or "-")[:12],
    }


def _commit(code: dict[str, Any]) -> str:
    commit = str(code["commit"])[:10]
    return f"{commit} and changes" if code["dirty"] else commit
