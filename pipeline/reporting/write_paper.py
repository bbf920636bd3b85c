"""Writes a LaTeX document with all tables and figures of a study, and compiles its PDF."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.io.files import whole_file, write_if_changed
from pipeline.reporting.captions import data_caption, study_caption
from pipeline.reporting.dataset_cards import card_of
from pipeline.reporting.models import named
from pipeline.results import paths
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import cells_of, merged_cells, trainings_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import split_rule, titles_of
from pipeline.study.fingerprints import study_digest
from pipeline.study.folders import results_folder
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_cells
from reports import names
from reports.numbering import numbered
from reports.paper import Item, render_paper
from reports.tables.latex import to_latex

# Packages of Debian and Ubuntu that contain everything the document and the tables load.
_PACKAGES = "texlive-latex-base texlive-latex-recommended lmodern"
# References need two or three runs of pdflatex, and the widths of long tables need some more.
_RUNS_AT_MOST = 6
_RERUN_MESSAGES = ("Rerun to get", "Rerun LaTeX", "Table widths have changed", "has changed")
_ERROR_LINES_AT_MOST = 8
_PROVENANCE = "provenance"


def make_paper(study: Study, pdf: bool) -> list[Path]:
    """Write paper.tex and print its path. If `pdf` is set, compile the PDF and return its path.

    Raises:
        InputError: As in `write_paper` and `compile_latex`.
    """
    print(write_paper(study))
    return [compile_paper(study)] if pdf else []


def write_paper(study: Study, results: StudyResults | None = None) -> Path:
    """Write paper/paper.tex, which includes tables and figures from their folders, and the file of settings that it refers to.

    Args:
        study: The study.
        results: The results of the study, if they are already loaded.

    Returns:
        The path of paper.tex.

    Raises:
        InputError: If a table or figure is missing, or no cell has results.
    """
    results = results or StudyResults(study)
    tables, figures = _tables(results), paths.figure_files(study)
    missing = [path for path in (*tables, *figures) if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}{more}: missing. Run the steps before this one, or snakemake.")
    facts = {
        "title": study.title,
        "study": study.name,
        "synthetic": study.synthetic,
        "abstract": _abstract(results),
        "datasets": _datasets(study),
        "models": f"{study_caption(results)} Scores are in percent where their heads say so, distances in pixels.",
        "reproduction": _reproduction(study),
        "provenance": _software(results),
    }
    path = paths.paper_file(study)
    # The document refers to this file. Without Snakemake, nothing else writes it.
    write_if_changed(paths.study_file(study), json.dumps(study.as_dict(), indent=2) + "\n")
    numbers = _numbers(study, tables, figures)
    provenance = numbers[_PROVENANCE], _provenance(results)
    write_if_changed(path, render_paper(_items(results, numbers, tables, figures), provenance, facts))
    return path


def _tables(results: StudyResults) -> list[Path]:
    """Return the files of the tables. Tables of robustness are not expected if no cell's robustness is evaluated."""
    study = results.study
    if set(results.missing_robustness) != set(robustness_cells(study)):
        return paths.table_files(study)
    of_robustness = (
        names.TABLE_ROBUSTNESS,
        names.against_paper(names.TABLE_ROBUSTNESS),
        names.TABLE_ROBUSTNESS_SUMMARY,
        names.TABLE_ROBUSTNESS_CONDITIONS,
    )
    return [path for path in paths.table_files(study) if path.stem not in of_robustness]


def _numbers(study: Study, tables: Sequence[Path], figures: Sequence[Path]) -> dict[str, str]:
    """Return the numbers of printed tables and of figures, by name."""
    printed = [path.stem for path in tables if path.suffix == ".tex"]
    drawn = [path.stem for path in figures]
    return numbered([*printed, _PROVENANCE], study.compare_with_paper) | numbered(drawn, study.compare_with_paper)


def _items(
    results: StudyResults, numbers: Mapping[str, str], tables: Sequence[Path], figures: Sequence[Path]
) -> list[Item]:
    """Return the items of the document: printed tables, tables that are CSV only, and figures as PDF or JPEG."""
    study = results.study
    printed = {path.stem for path in tables if path.suffix == ".tex"}
    titles, dataset_caption, of_results = titles_of(study), data_caption(study), paths.result_figures(study)
    items = [
        Item("table", f"../tables/{path.name}", number=numbers[path.stem]) for path in tables if path.suffix == ".tex"
    ]
    items += [
        Item("data", f"../tables/{path.name}") for path in tables if path.suffix == ".csv" and path.stem not in printed
    ]
    for path in figures:
        if path.suffix in (".pdf", ".jpg"):
            _, title = names.figure_title(path.stem, titles)
            caption = study_caption(
                results, select_on="val" if path.stem in (names.FIGURE_MERGING, names.FIGURE_REPRESENTATIONS) else ""
            )
            text = f"{_splits(study, path.stem)} {caption}" if path.stem in of_results else dataset_caption
            items.append(Item("figure", f"../figures/{path.name}", f"{title}. {text}", numbers[path.stem]))
    return items


def _splits(study: Study, name: str) -> str:
    """Return a sentence with the split rule of the dataset that a figure's name ends with, or else of all evaluated datasets."""
    datasets = paths.evaluated_datasets(study)
    # If the names of two datasets match, one of them ends with the other, so the longest is right.
    of_figure = max((dataset for dataset in datasets if name.endswith(f"_{dataset}")), key=len, default="")
    rules = [
        f"{titles_of(study)[d]}: {names.in_words(split_rule(study, d))}"
        for d in ([of_figure] if of_figure else datasets)
    ]
    return f"Split of {'; of '.join(rules)}."


def _abstract(results: StudyResults) -> list[str]:
    study, missing, not_robust = results.study, results.missing_cells, results.missing_robustness
    cells, titles, seeds = cells_of(study), titles_of(study), ", ".join(map(str, study.seeds))
    labels = model_labels(study)
    backbones = [labels.backbone(name) for name in dict.fromkeys(c.backbone for c in cells)]
    architectures = [labels.architecture(name) for name in dict.fromkeys(cell.architecture for cell in cells)]
    weightings = [labels.weighting(name) for name in dict.fromkeys(cell.weighting for cell in cells)]
    size, robust = study.input_size, robustness_cells(study)
    sentences = [
        f"{len(cells)} trainings on {_joined([titles[d] for d in study.datasets if any(c.dataset == d for c in cells)])},",
        f"of the backbones {_joined(backbones)}, the architectures {_joined(architectures)} and the weightings {_joined(weightings)},",
        f"at {size} by {size} pixels.",
        f"Protocol of the metrics: {study.protocol}. Seed{'s' if len(study.seeds) > 1 else ''}: {seeds}.",
    ]
    if robust:
        severities = conditions_of(study).severities
        count = len(robust) - len(not_robust)
        of_which = f" of the {len(robust)} that the study asks for" if not_robust else " of them"
        verb = "is" if count == 1 else "are"
        sentences.append(
            f"{count}{of_which} {verb} evaluated under corruptions at {len(severities)} severities as well."
        )
    merged = merged_cells(study)
    further = sum(cell.select_on == "val" for cell in set(trainings_of(study)) - set(cells))
    if merged and further:
        sentences.append(
            f"{further} further trainings have their epochs chosen on validation frames. {len(merged)} models are merged from "
            "those of single tasks."
        )
    elif merged:
        sentences.append(f"{len(merged)} models are merged from those of single tasks.")
    if missing:
        sentences.append(f"{len(missing)} of the trainings {'has' if len(missing) == 1 else 'have'} no results.")
    if missing or not_robust or results.missing_models:
        sentences.append("The last section names what is missing, and why.")
    return sentences


def _datasets(study: Study) -> list[str]:
    lines = []
    for dataset in study.datasets:
        card = card_of(study, dataset)
        parts = ", ".join(
            f"{count:,} {split}" for split, count in sorted(card["frames_by_split"].items(), reverse=True)
        )
        kind = "synthetic" if card["synthetic"] else "real"
        lines.append(
            f"{card['title']}: {card['frames']:,} {kind} frames ({parts}), split: {split_rule(study, dataset)}."
        )
    return lines


def _reproduction(study: Study) -> list[str]:
    return [
        f"Everything here comes from study {study.name} (SHA-256 of its settings: {study_digest(study)[:12]}).",
        f"The settings, with every default, are saved with the results in studies/{study_digest(study)[:12]}.json.",
        "Snakemake makes everything from the raw trees and the study's file.",
        f"Every number of a table is in {results_folder(study)}/tables as CSV, and every measurement is in results.parquet.",
        "On CPUs of the same kind, the same code and packages give the same bits.",
        "On a GPU the last bits of sums differ, and with them everything that is computed from these sums.",
    ]


def _software(results: StudyResults) -> list[str]:
    """Return sentences on the software and devices of all cells with results, and on missing results with their reasons."""
    records = [results.provenance(cell) for cell in results.present_models]
    missing = results.missing_models
    not_robust = {cell: reason for cell, reason in results.missing_robust_models.items() if cell not in missing}
    packages = dict.fromkeys((name, version) for record in records for name, version in record["packages"].items())
    return [
        f"Code: {_joined(dict.fromkeys(_commit(record['code']) for record in records))}.",
        f"Python {_joined(dict.fromkeys(record['python'] for record in records))};",
        f"{', '.join(f'{name} {version}' for name, version in packages)}.",
        f"Device: {_joined(dict.fromkeys(record['device'] for record in records))}.",
        *(f"{named(results.study, cell)} has no results: {reason}." for cell, reason in missing.items()),
        *(
            f"{named(results.study, cell)} has no results under corruptions: {reason}."
            for cell, reason in not_robust.items()
        ),
    ]


def _commit(code: dict[str, object]) -> str:
    return f"commit {str(code['commit'])[:12]}" + (" with changes" if code["dirty"] else "")


def _provenance(results: StudyResults) -> str:
    rows = []
    for cell in results.present_models:
        saved = results.provenance(cell)
        source = saved["weights"]["source"] + (" (synthetic)" if saved["pretrained_on_synthetic"] else "")
        rows.append(
            {
                "Model": named(results.study, cell),
                "Weights": source,
                "Images": saved["training_images"],
                "Seconds": round(saved["training_seconds"]),
                "Study (SHA-256)": saved["study_sha256"][:12],
                "Checkpoint (SHA-256)": saved["checkpoint_sha256"][:12],
            }
        )
    caption = f"What each model was trained or merged from: initial weights, images, and digests. {data_caption(results.study)}"
    return to_latex(pd.DataFrame(rows).set_index("Model"), caption, "tab:provenance")


def _joined(words: Sequence[str] | dict[str, None]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def compile_paper(study: Study) -> Path:
    """Compile paper/paper.tex to paper/paper.pdf with `compile_latex`, and return the path of the PDF."""
    compile_latex(paths.paper_file(study), paths.paper_pdf(study))
    return paths.paper_pdf(study)


def compile_latex(source: Path, pdf: Path) -> None:
    """Compile a document in its folder to a PDF, which is written only if it is complete. The same files give the same bytes.

    Args:
        source: The LaTeX document.
        pdf: The PDF file to write.

    Raises:
        InputError: If pdflatex is not installed or fails. The message contains its errors and the path of its log.
    """
    if shutil.which("pdflatex") is None:
        raise InputError(
            f"pdflatex is not installed, so there is no {pdf}. On Debian and Ubuntu: apt install {_PACKAGES}. "
            f"{source} is written. It can be compiled elsewhere, if tables/ and figures/ are next to its folder."
        )
    with tempfile.TemporaryDirectory(prefix="endoarss-paper-") as name:
        folder = Path(name)
        for _ in range(_RUNS_AT_MOST):
            if not _pdflatex(source, folder):
                raise InputError(_failure(source, folder))
            if not any(words in _log(folder, source) for words in _RERUN_MESSAGES):
                break
        with whole_file(pdf) as partial:
            shutil.copyfile(folder / f"{source.stem}.pdf", partial)
    _log_file(source).unlink(missing_ok=True)  # the log of an earlier failure


def _pdflatex(source: Path, folder: Path) -> bool:
    """Run pdflatex once and return whether it succeeded. It runs in the document's folder, because paths in it are relative."""
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "-file-line-error"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    done = subprocess.run(
        [*command, f"-output-directory={folder}", source.name],
        cwd=source.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _log(folder: Path, source: Path) -> str:
    path = folder / f"{source.stem}.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _log_file(source: Path) -> Path:
    return source.with_suffix(".log")


def _failure(source: Path, folder: Path) -> str:
    """Return a message with the errors of pdflatex, and save its log in the folder of the document."""
    log = _log(folder, source)
    with whole_file(_log_file(source)) as partial:
        partial.write_text(log, encoding="utf-8")
    lines = log.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("!") or ".tex:" in line[:200]]
    shown = [line for index in starts for line in lines[index : index + 3] if line.strip()][:_ERROR_LINES_AT_MOST]
    return "\n".join(
        [
            f"{source}: pdflatex failed. The whole log: {_log_file(source)}",
            *(f"  {line}" for line in shown or lines[-_ERROR_LINES_AT_MOST:]),
            f"If a LaTeX file is missing, on Debian and Ubuntu: apt install {_PACKAGES}.",
        ]
    )
