"""Defines the paths of a study's files for the steps, the command line and `endoarss clean`.

`StudyOutput` declares every name that steps write in results/<study>, and `CellOutput` every name in the folder of a cell. `endoarss clean`
regards all other files as the user's own.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from pipeline.io.files import resumable, resumable_lock
from pipeline.io.hashing import digest
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import cells_of, merging_groups, segments, trainings_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import evaluated_on, kind_name, labels_of, leakage_datasets, recipe_of
from pipeline.study.fingerprints import study_digest
from pipeline.study.folders import cell_folder, dataset_folder, raw_roots, results_folder, roots_of
from pipeline.study.models import Study
from pipeline.study.paper_cells import PaperNames, ablation_cells, cells_by_rank, leakage_pairs, task_pairs
from pipeline.study.robust_models import robustness_cells
from reports import names

FIGURE_BALANCE = "class_balance"
FIGURE_CLASSES = "fig1_classes_by_activity"
FIGURE_LEAKAGE = "leakage"
DATA = Path("data")
DATASET_CARD = "dataset.json"
CORRUPTED_DONE = "corruptions.json"
SCORES, ROWS = "metrics.json", "per_image.parquet"
ROBUSTNESS_NAMES = (SCORES, ROWS, "provenance.json", "gallery.npz")
REPRESENTATIONS = "representations.npz"
DRAWN = frozenset({".png", ".pdf", ".jpg", ".csv", ".tex", ".json"})
"""The suffixes of figures and tables."""
DONE, DECIDED_BY = "done.json", "decided_by.json"
"""The files next to each result (`pipeline.workflow.result`). In a folder of several results, these names begin with the result's name."""
_FILE_OF_DATASET = re.compile(r"(.+)\.(?:doctor(?:\.done|\.decided_by)?|provenance)\.json")
_VERSION = re.compile(r"[0-9a-f]{12}\.json")


class StudyOutput(StrEnum):
    """The names in results/<study>."""

    CELLS = "cells"
    MERGING = "merging"
    REFERENCES = "references"
    PREDICTORS = "predictors"
    FIGURES = "figures"
    TABLES = "tables"
    REPORT = "report"
    PAPER = "paper"
    RESULTS = "results.parquet"
    PROVENANCE = "provenance.json"
    METRICS = "metrics.json"
    VERSIONS = "studies"
    LOGS = "logs"
    BENCHMARKS = "benchmarks"


class CellOutput(StrEnum):
    """The names in the folder of a cell."""

    CHECKPOINT = "model.safetensors"
    HISTORY = "history.csv"
    PROVENANCE = "provenance.json"
    PREDICTIONS = "predictions"
    METRICS = "metrics.json"
    ROWS = "eval"
    ROBUSTNESS = "robustness"
    FAILURE = "failure.json"
    ROBUSTNESS_FAILURE = "robustness_failure.json"
    TENSORBOARD = "tensorboard"
    RESUME = ".training"
    DONE = "done.json"
    DECIDED_BY = "decided_by.json"
    ROBUSTNESS_BEGUN = resumable(Path("robustness")).name
    ROBUSTNESS_LOCK = resumable_lock(Path("robustness")).name


class RobustnessFiles(NamedTuple):
    """The files of a robustness evaluation: scores, rows (one per image and condition), provenance, and masks for the page."""

    scores: Path
    rows: Path
    provenance: Path
    gallery: Path

    @classmethod
    def below(cls, folder: Path) -> RobustnessFiles:
        """Return the files in a folder."""
        return cls(*(folder / name for name in ROBUSTNESS_NAMES))


def study_file(study: Study) -> Path:
    """Return the file of the validated study that steps read. Its name holds a digest, so that a running job keeps its study."""
    return results_folder(study) / StudyOutput.VERSIONS / f"{study_digest(study)[:12]}.json"


def is_record(path: Path) -> bool:
    """Return whether a file records what decided the result next to it."""
    return path.name.endswith((DONE, DECIDED_BY))


def is_study_file(path: Path) -> bool:
    """Return whether a file has a name that `study_file` gives. All other files are the user's own."""
    return _VERSION.fullmatch(path.name) is not None


def dataset_files(study: Study, dataset: str) -> list[Path]:
    """Return the files that identify a built dataset. manifest.csv holds the digest of every image."""
    folder = dataset_folder(study, dataset)
    return [folder / "manifest.csv", folder / DATASET_CARD]


def dataset_provenance_file(study: Study, dataset: str) -> Path:
    """Return the provenance file of a dataset. It lies next to the folder, whose content must not depend on the time of the build."""
    folder = dataset_folder(study, dataset)
    return folder.with_name(f"{folder.name}.provenance.json")


def doctor_file(study: Study, dataset: str) -> Path:
    """Return the doctor's report on the raw trees of a dataset. It lies next to the dataset, because studies share both."""
    folder = dataset_folder(study, dataset)
    return folder.with_name(f"{folder.name}.doctor.json")


def dataset_of(path: Path) -> Path | None:
    """Return the folder of the dataset that a file lies next to, or None if its name does not belong to a dataset."""
    match = _FILE_OF_DATASET.fullmatch(path.name)
    return path.with_name(match[1]) if match else None


def arrays_file(study: Study, dataset: str) -> Path:
    """Return the file that lists the packed arrays of a dataset at the study's input size."""
    return dataset_folder(study, dataset) / "arrays" / f"{study.input_size}.json"


def generated_trees(study: Study) -> dict[str, Path]:
    """Return the generated raw trees that the study's datasets need, by name."""
    if study.raw.generate is None:
        return {}
    roots = raw_roots(study)
    trees = {roots[source] for dataset in study.datasets for source in recipe_of(study, dataset).sources}
    return {root.name: root for root in sorted(trees)}


def generated_done_file(root: Path) -> Path:
    """Return the completion file of a generated tree, which holds the settings that the tree was made with."""
    return root / "generated.json"


def history_file(study: Study, cell: Cell) -> Path:
    """Return the file with the losses and times of each epoch."""
    return cell_folder(study, cell) / CellOutput.HISTORY


def robustness_files(study: Study, cell: Cell) -> RobustnessFiles:
    """Return the files of a cell's robustness evaluation."""
    return RobustnessFiles.below(cell_folder(study, cell) / CellOutput.ROBUSTNESS)


def corrupted_folder(study: Study, dataset: str) -> Path:
    """Return the folder of corrupted test images. Studies with the same settings share it, so its name depends on them."""
    settings = conditions_of(study).as_dict() | {"size": study.input_size}
    return DATA / "corrupted" / f"{dataset_folder(study, dataset).name}-{digest(settings)[:12]}"


def corrupted_done_file(study: Study, dataset: str) -> Path:
    """Return the completion file of the corrupted-image cache, which holds the settings that the images were made with."""
    return corrupted_folder(study, dataset) / CORRUPTED_DONE


def predictions_file(study: Study, cell: Cell, dataset: str) -> Path:
    """Return the file of a cell's predictions on the test split of a dataset."""
    return cell_folder(study, cell) / CellOutput.PREDICTIONS / f"{dataset}.npz"


def rows_file(study: Study, cell: Cell, dataset: str) -> Path:
    """Return the file of a cell's saved rows on a dataset, one per image."""
    return cell_folder(study, cell) / CellOutput.ROWS / dataset / ROWS


def scores_file(study: Study, cell: Cell, dataset: str) -> Path:
    """Return the file of a cell's scores on a dataset."""
    return rows_file(study, cell, dataset).with_name(SCORES)


def representations_file(study: Study, group: MergingGroup) -> Path:
    """Return the file of the single and merged models' representations of test images (means over tokens), for the figure."""
    on_test = "-on_test" if group.merged[0].on_test else ""
    return results_folder(study) / StudyOutput.MERGING / f"{group.id}{on_test}" / REPRESENTATIONS


def failure_file(study: Study, cell: Cell) -> Path:
    """Return the file that states why the last training of a cell failed. The next training removes it."""
    return cell_folder(study, cell) / CellOutput.FAILURE


def robustness_failure_file(study: Study, cell: Cell) -> Path:
    """Return the file that states why the last robustness evaluation of a cell failed. The next evaluation removes it."""
    return cell_folder(study, cell) / CellOutput.ROBUSTNESS_FAILURE


def reference_folder(study: Study, dataset: str) -> Path:
    """Return the folder of the saved rows of reference predictions, which need no model (`reports.names.REFERENCES`)."""
    return results_folder(study) / StudyOutput.REFERENCES / dataset


def reference_files(study: Study, dataset: str) -> dict[str, Path]:
    """Return the file of saved rows on a dataset by reference prediction. Datasets without activities have only `all_background`."""
    stems = [name for name in names.REFERENCES if name == "all_background" or labels_of(study, dataset).activities]
    return {name: reference_folder(study, dataset) / f"{name}.parquet" for name in stems}


def results_file(study: Study) -> Path:
    """Return the file of the long table of all measurements."""
    return results_folder(study) / StudyOutput.RESULTS


def metrics_file(study: Study) -> Path:
    """Return the file with the few numbers that `dvc metrics` compares between versions of the study."""
    return results_folder(study) / StudyOutput.METRICS


def results_provenance_file(study: Study) -> Path:
    """Return the provenance file of the long table: data, checkpoints, code, and when it was collected."""
    return results_folder(study) / StudyOutput.PROVENANCE


def table_files(study: Study) -> list[Path]:
    """Return the files of all tables: CSV and LaTeX, or CSV alone for tables that are too long for print."""
    csv_only = [names.TABLE_PAIRS, names.TABLE_CLASSES, names.TABLE_CONFUSION]
    csv_only += [names.TABLE_ACTIVITIES] if datasets_with_activities(study) else []
    stems = [names.TABLE_DATASETS, *(names.table_of_dataset(dataset) for dataset in evaluated_datasets(study))]
    stems += _tables_five_and_six(study)
    stems.append(names.TABLE_COMPARISON)
    if robustness_cells(study):
        stems += [names.TABLE_ROBUSTNESS, names.TABLE_ROBUSTNESS_SUMMARY]
        csv_only.append(names.TABLE_ROBUSTNESS_CONDITIONS)
    stems += [names.TABLE_MERGING, names.TABLE_SURGERY_RANKS] if merging_groups(study) else []
    stems += [*tables_against_paper(study), names.TABLE_CLAIMS] if study.compare_with_paper else []
    stems.append(names.TABLE_COST)
    if leakage_datasets(study):
        stems.append(names.TABLE_SIMILARITY)
    if leakage_pairs(study):
        stems.append(names.TABLE_LEAKAGE)
    pairs = [f"{name}.{kind}" for name in stems for kind in ("csv", "tex")]
    return [
        results_folder(study) / StudyOutput.TABLES / name for name in (*pairs, *(f"{name}.csv" for name in csv_only))
    ]


def tables_against_paper(study: Study) -> list[str]:
    """Return the names of the tables that compare a study's scores with the paper's, as far as the paper has them."""
    stems = [names.table_of_dataset(dataset) for dataset in evaluated_datasets(study) if names.is_in_paper(dataset)]
    paper = PaperNames(study)
    models = (by_rank for dataset in study.datasets for by_rank in cells_by_rank(study, dataset))
    ranks = any(paper.ranked(cell) for by_rank in models for cell in by_rank.values())
    # The paper has ranks for one model only.
    stems += [name for name in _tables_five_and_six(study) if ranks or name != names.TABLE_RANK]
    of_paper = [(names.PAPER_ROBUSTNESS, *model) for model in names.PAPER_ROBUST_MODELS]
    if any((c.dataset, *paper.of(c)) in of_paper for c in robustness_cells(study)):
        stems.append(names.TABLE_ROBUSTNESS)
    return [names.against_paper(name) for name in stems]


def _tables_five_and_six(study: Study) -> list[str]:
    """Return the names of Tables V and VI if the study has cells for them."""
    stems = [names.TABLE_ABLATION] if any(ablation_cells(study, dataset) for dataset in study.datasets) else []
    return [*stems, names.TABLE_RANK] if any(cells_by_rank(study, dataset) for dataset in study.datasets) else stems


def note_file(study: Study) -> Path:
    """Return the file that compares the results with the paper's claims."""
    return results_folder(study) / StudyOutput.REPORT / "reproduction.md"


def dataset_figures(study: Study) -> list[Path]:
    """Return the figures of the datasets: contact sheets as JPEG, others as PNG and PDF."""
    sheets = [results_folder(study) / StudyOutput.FIGURES / contact_sheet(dataset) for dataset in study.datasets]
    stems = [FIGURE_BALANCE, FIGURE_CLASSES] if datasets_with_activities(study) else [FIGURE_BALANCE]
    return [*sheets, *_png_and_pdf(study, stems)]


def leakage_figures(study: Study) -> list[Path]:
    """Return the figure of the similarity of test and training frames, as PNG and PDF."""
    return _png_and_pdf(study, [FIGURE_LEAKAGE]) if leakage_datasets(study) else []


def contact_sheet(dataset: str) -> str:
    """Return the file name of a dataset's contact sheet."""
    return f"contact_{dataset}.jpg"


def datasets_with_activities(study: Study) -> list[str]:
    """Return the datasets with activities. If several hold the same frames under different splits, return the first of them."""
    by_frames: dict[tuple[object, ...], str] = {}
    for dataset in study.datasets:
        if labels_of(study, dataset).activities:
            by_frames.setdefault((kind_name(study, dataset), *roots_of(study, dataset).values()), dataset)
    return list(by_frames.values())


def similarity_file(study: Study) -> Path:
    """Return the file with the similarity of each test frame to its nearest training frame, which the leakage figure shows."""
    return results_folder(study) / StudyOutput.FIGURES / f"{FIGURE_LEAKAGE}.json"


def _png_and_pdf(study: Study, stems: list[str]) -> list[Path]:
    """Return the PNG and PDF files of figures."""
    return [results_folder(study) / StudyOutput.FIGURES / f"{name}.{kind}" for name in stems for kind in ("png", "pdf")]


def history_figures(study: Study) -> dict[str, list[Path]]:
    """Return the figures of training histories, as PNG and PDF, by training dataset."""
    trained = dict.fromkeys(cell.dataset for cell in cells_of(study))
    return {dataset: _png_and_pdf(study, [names.figure_of_history(dataset)]) for dataset in trained}


def result_figures(study: Study) -> dict[str, list[Path]]:
    """Return the figures of results that the study has cells for, by name, each as PNG and PDF."""
    datasets = evaluated_datasets(study)
    stems = [names.FIGURE_TASKS] if task_pairs(study) else []
    stems += [names.FIGURE_SEGMENTATION] if segments(study) else []
    stems += [names.FIGURE_SEVERITY, names.FIGURE_RETENTION, names.FIGURE_HEATMAP] if robustness_cells(study) else []
    stems += [names.FIGURE_MERGING, names.FIGURE_REPRESENTATIONS] if merging_groups(study) else []
    stems.append(names.FIGURE_COST)
    stems += [names.figure_of_classes(dataset) for dataset in datasets]
    stems += [names.figure_of_confusion(dataset) for dataset in datasets]
    stems += [names.figure_of_history(dataset) for dataset in history_figures(study)]
    return {name: _png_and_pdf(study, [name]) for name in stems}


def figure_files(study: Study) -> list[Path]:
    """Return the files of all figures."""
    of_results = [path for paths in result_figures(study).values() for path in paths]
    return [*of_results, *dataset_figures(study), *leakage_figures(study)]


def report_file(study: Study) -> Path:
    """Return the HTML page with all tables and figures."""
    return results_folder(study) / StudyOutput.REPORT / "index.html"


def paper_file(study: Study) -> Path:
    """Return the LaTeX document of all tables and figures."""
    return results_folder(study) / StudyOutput.PAPER / "paper.tex"


def paper_pdf(study: Study) -> Path:
    """Return the compiled LaTeX document."""
    return paper_file(study).with_suffix(".pdf")


def evaluated_datasets(study: Study) -> list[str]:
    """Return the datasets that some cell is tested on, in the order of the study."""
    tested = {dataset for cell in trainings_of(study) for dataset in evaluated_on(study, cell.dataset)}
    return [dataset for dataset in study.datasets if dataset in tested]
