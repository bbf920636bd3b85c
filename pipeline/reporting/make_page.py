"""The page of a study, from its kept results: no model runs for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from endoarss.metrics.catalogue import Shown, shown_metrics
from pipeline.io.files import read_json, write_text
from pipeline.reporting.captions import partial_note, study_mark
from pipeline.reporting.dataset_cards import card_of
from pipeline.reporting.page_gallery import gallery_of, gallery_rows
from pipeline.reporting.robustness import measure_study
from pipeline.reporting.tables.make_tables import reductions_of_tables, study_tables
from pipeline.results import paths
from pipeline.results.study_results import Reduction, StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import merging_groups, models_of, trainings_of
from pipeline.study.datasets import labels_of, titles_of
from pipeline.study.folders import cell_folder, results_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models, robustness_cells
from reports import names
from reports.page import DatasetCard, Facts, FigureSection, Gap, Page, TableSection, render_page, scores_of
from reports.page.gallery import css_colour
from reports.statistics.brackets import with_brackets, with_units


def make_page(study: Study, results: StudyResults | None = None) -> None:
    """Write report/index.html from the saved results and figures.

    Args:
        study: whose page.
        results: of the study, if they are at hand.

    Raises:
        InputError, ResultsError: if something kept is missing or cannot be read; cells without results are named on the page instead.
    """
    results = results or StudyResults(study, reductions_of_page(study))
    write_text(paths.report_file(study), render_page(page_of(results)))


def reductions_of_page(study: Study) -> dict[Reduction[Any], Collection[Cell]]:
    """Return what the page and its tables take from rows under corruption, each with the models that it is taken of."""
    return reductions_of_tables(study) | {gallery_rows: robustness_cells(study)}


def page_of(results: StudyResults) -> Page:
    """What stands on the page."""
    study, found, robustness = results.study, results.once(study_tables), results.once(measure_study)
    categories = robustness.categories if robustness is not None else ()
    tables = [
        TableSection(
            name,
            *_titles(study, name, table.title),
            table.said,
            table.shown,
            table.of_scores,
            table.best_within,
            rows_apart(name, table.shown, table.of_scores, categories),
            published_columns(name, table.shown),
        )
        for name, table in found.items()
        if table.shown is not None
    ]
    return Page(
        facts=_facts(results),
        glance=_glance(found[names.TABLE_COMPARISON].data),
        claims=_claims(found[names.TABLE_CLAIMS].data),
        gaps=_gaps(results),
        tables=tables,
        scores=scores_of(robustness) if robustness is not None else None,
        gallery=gallery_of(results) if robustness is not None else None,
        figures=_figures(study),
        datasets=[_card(study, dataset) for dataset in study.datasets],
        provenance=_provenance(results),
    )


def _titles(study: Study, name: str, title: str) -> tuple[str, str]:
    """A table in the contents, and above it; one outside the paper has no number to begin with."""
    if name in map(names.beside_published, names.PAPER_TABLES):
        return names.table_title(name), title  # which says what it is beside, by the paper's number
    of_dataset = {names.table_of_dataset(dataset): called for dataset, called in titles_of(study).items()}
    called = names.table_title(name)
    if name in of_dataset and called.startswith("Table, "):
        return of_dataset[name], title
    if called.startswith("Table, "):
        short = called.removeprefix("Table, ")
        return short[:1].upper() + short[1:], title
    begins = title.replace(",", "").startswith(called.replace(",", ""))
    return called, title if begins else f"{called}. {title}"


def rows_apart(name: str, shown: pd.DataFrame, of_scores: bool, categories: Collection[str]) -> list[int]:
    """Rows that sum others up or are of no model: which table it is says where they are, for a study's names may be any."""
    keys = [key if isinstance(key, tuple) else (key,) for key in shown.index]
    if name == names.TABLE_ROBUSTNESS:
        return [i for i, (category, _) in enumerate(keys) if category not in categories]
    if name == names.beside_published(names.TABLE_ROBUSTNESS):
        return [i for i, key in enumerate(keys) if key == ("mean",)]
    references = set(names.REFERENCES.values())
    return [i for i, key in enumerate(keys) if of_scores and key[0] == "Reference" and key[1] in references]


def published_columns(name: str, shown: pd.DataFrame) -> list[int]:
    """Columns that hold the paper's figures."""
    if name in map(names.beside_published, names.PAPER_TABLES):
        return [i for i, (_, whose) in enumerate(shown.columns) if whose == "paper"]
    if name == names.TABLE_DATASETS:
        return [i for i, head in enumerate(shown.columns) if head.startswith("Paper: ")]
    return [i for i, head in enumerate(shown.columns) if name == names.TABLE_CLAIMS and head == "In the paper"]


def _facts(results: StudyResults) -> Facts:
    study = results.study
    return Facts(
        title=study.title,
        study=study.name,
        protocol=study.protocol,
        seeds=list(study.seeds),
        cells=len(trainings_of(study)),
        resolution=study.input_size,
        synthetic=study.synthetic,
        mark=study_mark(results),
        partial=partial_note(study),
    )


def _glance(comparison: pd.DataFrame) -> pd.DataFrame:
    """The best model of each dataset in accuracy, in mIoU and the like, with its score."""
    best = comparison[comparison["rank"] == 1].reset_index()
    over = dict(zip(best["dataset"], best["interval_over"], strict=True))
    rows: dict[str, dict[str, str]] = {}
    for metric, about in shown_metrics(Shown.SUMMARY).items():
        of_metric = best[best["metric"] == metric]
        for dataset, group in of_metric.groupby("dataset", sort=False):
            first = group.iloc[0]
            name = first["model"] if len(group) == 1 else f"{len(group)} models"
            score = with_brackets(first["value"], first["low"], first["high"])
            rows.setdefault(with_units(str(dataset), over), {})[f"Best {about.head}"] = f"{score}, {name}"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Dataset").fillna("-")


def _claims(claims: pd.DataFrame) -> str:
    counts = claims["verdict"].str.split(",").str[0].value_counts()
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"The paper's claims, claim by claim, dataset and metric: {said}. The table of reproduction says which, and by how much."


def _gaps(results: StudyResults) -> list[Gap]:
    lacking = results.missing_models
    gaps = [Gap(cell.id, "results", reason) for cell, reason in lacking.items()]
    return gaps + [
        Gap(cell.id, "robustness", reason)
        for cell, reason in results.missing_robust_models.items()
        if cell not in lacking
    ]


def _figures(study: Study) -> list[FigureSection]:
    """All figures of the study but the contact sheets, which stand with their datasets."""
    sheets = {paths.contact_sheet(dataset) for dataset in study.datasets}
    pictures = [path for path in paths.figure_files(study) if path.suffix == ".png" and path.name not in sheets]
    found = []
    for path in pictures:
        short, title = names.figure_title(path.stem, titles_of(study))
        # That of a dataset names it in its title.
        found.append(
            FigureSection(path.stem, short, f"{short}. {title}" if path.stem in names.FIGURES else title, path)
        )
    return found


def _card(study: Study, dataset: str) -> DatasetCard:
    card, labels = card_of(study, dataset), labels_of(study, dataset)
    sheet = results_folder(study) / "figures" / paths.contact_sheet(dataset)
    colours = list(zip(labels.classes[1:], map(css_colour, labels.palette[1:]), strict=True))
    anchor = f"dataset_{dataset}"
    return DatasetCard(
        anchor,
        card["title"],
        _card_facts(card),
        colours,
        _card_tables(card),
        FigureSection(f"{anchor}_sheet", card["title"], f"Contact sheet of {card['title']}", sheet),
    )


def _card_facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    splits = ", ".join(f"{part} {count:,}" for part, count in card["frames_by_split"].items())
    expected = card["expected_frames"]
    frames = f"{card['frames']:,}" if expected is None else f"{card['frames']:,} of {expected:,} expected"
    facts = [("Name", card["name"]), ("Frames", frames), ("Splits", splits)]
    if card.get("validation_frames"):
        facts.append(("Validation frames, of training", f"{card['validation_frames']:,}"))
    if card.get("split_rule"):
        facts.append(("Split rule", str(card["split_rule"]).replace("_", " ")))
    if "synthetic" in card:
        facts.append(("Data", "synthetic" if card["synthetic"] else "real"))
    if card.get("licences"):
        facts.append(("Licence", "; ".join(card["licences"])))
    for source, about in card.get("sources", {}).items():
        facts.append((f"Source {source}", f"{about['files']:,} files, sha256 {about['sha256'][:12]}"))
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
                {part.capitalize(): counts for part, counts in sorted(card[key].items(), reverse=True)}
            )
            if key == "frames_with_class" and sum(pixels.values()):
                frame["Pixels (%)"] = [100 * pixels[label] / sum(pixels.values()) for label in frame.index]
            tables.append((caption, frame.rename_axis(name)))
    return tables


def _provenance(results: StudyResults) -> list[TableSection]:
    """What every number comes from: trainings, evaluations of robustness, and the software they ran with."""
    study, lacking = results.study, results.missing_robust_models
    trained = {
        c.id: results.provenance(c)
        for c in models_of(study)
        if (cell_folder(study, c) / paths.CellOutput.PROVENANCE).is_file()
    }
    evaluated = {
        cell.id: read_json(paths.robustness_files(study, cell).provenance)
        for cell in robust_models(study)
        if cell not in lacking
    }
    software: dict[tuple[tuple[str, str], ...], str] = {}

    def ran(about: Mapping[str, Any]) -> dict[str, Any]:
        versions = tuple(
            (name, str(version)) for name, version in {"python": about["python"], **about["packages"]}.items()
        )
        return {
            "Checkpoint sha256": about["checkpoint_sha256"][:12],
            "Code": _commit(about["code"]),
            "Software": software.setdefault(versions, f"S{len(software) + 1}"),
            "Device": about["device"],
        }

    found = []
    if trained:
        rows = [{"Cell": cell, **ran(about), **_training(about)} for cell, about in trained.items()]
        title = "Trainings and merged models" if merging_groups(study) else "Trainings"
        found.append(
            TableSection("provenance_trainings", title, title, _TRAININGS, pd.DataFrame(rows).set_index("Cell"))
        )
    if evaluated:
        rows = [{"Cell": cell, **ran(about), "Frames": about["frames"]} for cell, about in evaluated.items()]
        title = "Evaluations of robustness"
        found.append(TableSection("provenance_robustness", title, title, "", pd.DataFrame(rows).set_index("Cell")))
    if software:
        versions_by_set = pd.DataFrame({name: dict(versions) for versions, name in software.items()}).rename_axis(
            "Package"
        )
        found.append(TableSection("provenance_software", "Software", "Software", _SOFTWARE, versions_by_set))
    return found


_TRAININGS = (
    "Digests are the first 12 digits of SHA-256; Data is that of the manifest, which holds the digest of every picture."
)
_SOFTWARE = "The versions that the names in the columns Software stand for."


def _training(about: Mapping[str, Any]) -> dict[str, Any]:
    synthetic = " (synthetic)" if about.get("pretrained_on_synthetic") else ""
    return {
        "Seed": about["seed"],
        "Seconds": about["training_seconds"],
        "Images": about["training_images"],
        "Trained parameters": about["parameters"]["trained"],
        "All parameters": about["parameters"]["total"],
        "Weights": about["weights"]["source"] + synthetic,
        "Weights sha256": str(about["weights"].get("sha256") or "-")[:12],
        "Data": str(about.get("manifest_sha256") or "-")[:12],
    }


def _commit(code: dict[str, Any]) -> str:
    commit = str(code["commit"])[:10]
    return f"{commit} and changes" if code["dirty"] else commit
