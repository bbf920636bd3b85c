"""Where a study keeps its files, and which of them each step writes: rules, command line and `clean` ask here.

Every name that a step writes is declared: in results/<study> by `StudyOutput`, in the folder of a cell by `CellOutput`. What is declared
nowhere, `endoarss clean` takes for somebody's own.
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
CORRUPTED_MARK = "corruptions.json"
SCORES, ROWS = "metrics.json", "per_image.parquet"
ROBUSTNESS_NAMES = (SCORES, ROWS, "provenance.json", "gallery.npz")
REPRESENTATIONS = "representations.npz"
DRAWN = frozenset({".png", ".pdf", ".jpg", ".csv", ".tex", ".json"})
"""The kinds of files that figures and tables are."""
DONE, DECIDED_BY = "done.json", "decided_by.json"
"""What lies beside each result, see `pipeline.workflow.result`. Where a folder holds several, a name and a dot come before."""
_BESIDE_DATASET = re.compile(r"(.+)\.(?:doctor(?:\.done|\.decided_by)?|provenance)\.json")
_VERSION = re.compile(r"[0-9a-f]{12}\.json")


class StudyOutput(StrEnum):
    """What stands in results/<study>."""

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
    """What stands in the folder of a cell."""

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
    """What a robustness evaluation writes: scores, one row an image and condition, what they came from, and masks for the page."""

    scores: Path
    rows: Path
    provenance: Path
    gallery: Path

    @classmethod
    def below(cls, folder: Path) -> RobustnessFiles:
        """Those in a folder."""
        return cls(*(folder / name for name in ROBUSTNESS_NAMES))


def study_file(study: Study) -> Path:
    """The validated study with its defaults, as the steps read it. Its name holds its digest: a job keeps its study."""
    return results_folder(study) / StudyOutput.VERSIONS / f"{study_digest(study)[:12]}.json"


def is_record(path: Path) -> bool:
    """Return whether a file says what a result beside it was decided by."""
    return path.name.endswith((DONE, DECIDED_BY))


def is_study_file(path: Path) -> bool:
    """Return whether `study_file` gives such stems; what else lies there is somebody's own."""
    return _VERSION.fullmatch(path.name) is not None


def dataset_files(study: Study, dataset: str) -> list[Path]:
    """The files that stand for a built dataset; manifest.csv holds the digest of every picture."""
    folder = dataset_folder(study, dataset)
    return [folder / "manifest.csv", folder / DATASET_CARD]


def dataset_provenance_file(study: Study, dataset: str) -> Path:
    """Who built a dataset, when and how. It stands beside: what is in the folder is the same whoever builds it again."""
    folder = dataset_folder(study, dataset)
    return folder.with_name(f"{folder.name}.provenance.json")


def doctor_file(study: Study, dataset: str) -> Path:
    """What the doctor says of the raw trees of a dataset. It stands beside the dataset, for studies share both."""
    folder = dataset_folder(study, dataset)
    return folder.with_name(f"{folder.name}.doctor.json")


def dataset_of(path: Path) -> Path | None:
    """Return the folder of the dataset that a file stands beside, or None if its name is of no such file."""
    match = _BESIDE_DATASET.fullmatch(path.name)
    return path.with_name(match[1]) if match else None


def arrays_file(study: Study, dataset: str) -> Path:
    """What says that a dataset's images are kept at the study's size."""
    return dataset_folder(study, dataset) / "arrays" / f"{study.input_size}.json"


def generated_trees(study: Study) -> dict[str, Path]:
    """The generated raw trees the study's datasets ask for, by name."""
    if study.raw.generate is None:
        return {}
    roots = raw_roots(study)
    trees = {roots[source] for dataset in study.datasets for source in recipe_of(study, dataset).sources}
    return {root.name: root for root in sorted(trees)}


def generated_done_file(root: Path) -> Path:
    """The file that says that a generated tree is whole, and from which settings."""
    return root / "generated.json"


def history_file(study: Study, cell: Cell) -> Path:
    """What a training said of each epoch."""
    return cell_folder(study, cell) / CellOutput.HISTORY


def robustness_files(study: Study, cell: Cell) -> RobustnessFiles:
    """What a robustness evaluation of a cell writes."""
    return RobustnessFiles.below(cell_folder(study, cell) / CellOutput.ROBUSTNESS)


def corrupted_folder(study: Study, dataset: str) -> Path:
    """Where corrupted test images are kept; other for other settings. Studies share them."""
    about = conditions_of(study).as_dict() | {"size": study.input_size}
    return DATA / "corrupted" / f"{dataset_folder(study, dataset).name}-{digest(about)[:12]}"


def corrupted_done_file(study: Study, dataset: str) -> Path:
    """The file that says that all of them are there, and from which settings."""
    return corrupted_folder(study, dataset) / CORRUPTED_MARK


def predictions_file(study: Study, cell: Cell, dataset: str) -> Path:
    """A cell's answers on a dataset's test split, as the model gave them."""
    return cell_folder(study, cell) / CellOutput.PREDICTIONS / f"{dataset}.npz"


def rows_file(study: Study, cell: Cell, dataset: str) -> Path:
    """What is kept of a cell's answers on a dataset, one row an image."""
    return cell_folder(study, cell) / CellOutput.ROWS / dataset / ROWS


def scores_file(study: Study, cell: Cell, dataset: str) -> Path:
    """The scores of a cell's answers on a dataset."""
    return rows_file(study, cell, dataset).with_name(SCORES)


def representations_file(study: Study, group: MergingGroup) -> Path:
    """What single and merged models make of each test image: a mean over its tokens, for the figure."""
    on_test = "-on_test" if group.merged[0].on_test else ""
    return results_folder(study) / StudyOutput.MERGING / f"{group.id}{on_test}" / REPRESENTATIONS


def failure_file(study: Study, cell: Cell) -> Path:
    """Why the last training of a cell failed; gone once another begins."""
    return cell_folder(study, cell) / CellOutput.FAILURE


def robustness_failure_file(study: Study, cell: Cell) -> Path:
    """Why the last robustness evaluation of a cell failed; gone once another begins."""
    return cell_folder(study, cell) / CellOutput.ROBUSTNESS_FAILURE


def reference_folder(study: Study, dataset: str) -> Path:
    """What is kept of the answers that need no model."""
    return results_folder(study) / StudyOutput.REFERENCES / dataset


def reference_files(study: Study, dataset: str) -> dict[str, Path]:
    """What is kept of each reference's answers on a dataset, one row an image; those of activities where it has any."""
    stems = [name for name in names.REFERENCES if name == "all_background" or labels_of(study, dataset).activities]
    return {name: reference_folder(study, dataset) / f"{name}.parquet" for name in stems}


def results_file(study: Study) -> Path:
    """The long table of all measurements."""
    return results_folder(study) / StudyOutput.RESULTS


def metrics_file(study: Study) -> Path:
    """Return where the few numbers lie by which DVC compares versions of the study."""
    return results_folder(study) / StudyOutput.METRICS


def results_provenance_file(study: Study) -> Path:
    """What the long table came from: data, checkpoints, code, and when it was collected."""
    return results_folder(study) / StudyOutput.PROVENANCE


def table_files(study: Study) -> list[Path]:
    """All tables, CSV and LaTeX; what is too long for print as CSV alone."""
    long = [names.TABLE_PAIRS, names.TABLE_CLASSES, names.TABLE_CONFUSION]
    long += [names.TABLE_ACTIVITIES] if datasets_with_activities(study) else []
    stems = [names.TABLE_DATASETS, *(names.table_of_dataset(dataset) for dataset in evaluated_datasets(study))]
    stems += _chosen_tables(study)
    stems.append(names.TABLE_COMPARISON)
    if robustness_cells(study):
        stems += [names.TABLE_ROBUSTNESS, names.TABLE_ROBUSTNESS_SUMMARY]
        long.append(names.TABLE_ROBUSTNESS_CONDITIONS)
    stems += [names.TABLE_MERGING, names.TABLE_SURGERY_RANKS] if merging_groups(study) else []
    stems += [*tables_against_paper(study), names.TABLE_CLAIMS] if study.compare_with_paper else []
    stems.append(names.TABLE_COST)
    if leakage_datasets(study):
        stems.append(names.TABLE_SIMILARITY)
    if leakage_pairs(study):
        stems.append(names.TABLE_LEAKAGE)
    pairs = [f"{name}.{kind}" for name in stems for kind in ("csv", "tex")]
    return [results_folder(study) / StudyOutput.TABLES / name for name in (*pairs, *(f"{name}.csv" for name in long))]


def tables_against_paper(study: Study) -> list[str]:
    """Return the tables that compare a study's scores with the paper's, for those datasets and tables that the paper has."""
    stems = [names.table_of_dataset(dataset) for dataset in evaluated_datasets(study) if names.is_in_paper(dataset)]
    paper = PaperNames(study)
    models = (by_rank for dataset in study.datasets for by_rank in cells_by_rank(study, dataset))
    ranks = any(paper.ranked(cell) for by_rank in models for cell in by_rank.values())
    # The paper has the ranks of one model.
    stems += [name for name in _chosen_tables(study) if ranks or name != names.TABLE_RANK]
    of_paper = [(names.PAPER_ROBUSTNESS, *model) for model in names.PAPER_ROBUST_MODELS]
    if any((c.dataset, *paper.of(c)) in of_paper for c in robustness_cells(study)):
        stems.append(names.TABLE_ROBUSTNESS)
    return [names.against_paper(name) for name in stems]


def _chosen_tables(study: Study) -> list[str]:
    """Tables V and VI, as far as the study has their cells."""
    stems = [names.TABLE_ABLATION] if any(ablation_cells(study, dataset) for dataset in study.datasets) else []
    return [*stems, names.TABLE_RANK] if any(cells_by_rank(study, dataset) for dataset in study.datasets) else stems


def note_file(study: Study) -> Path:
    """What the results say of the paper's claims."""
    return results_folder(study) / StudyOutput.REPORT / "reproduction.md"


def dataset_figures(study: Study) -> list[Path]:
    """The figures of the datasets themselves: contact sheets as JPEG, others as PNG and PDF."""
    sheets = [results_folder(study) / StudyOutput.FIGURES / contact_sheet(dataset) for dataset in study.datasets]
    stems = [FIGURE_BALANCE, FIGURE_CLASSES] if datasets_with_activities(study) else [FIGURE_BALANCE]
    return [*sheets, *_both(study, stems)]


def leakage_figures(study: Study) -> list[Path]:
    """The figure of how alike test and training frames are, PNG and PDF."""
    return _both(study, [FIGURE_LEAKAGE]) if leakage_datasets(study) else []


def contact_sheet(dataset: str) -> str:
    """The file name of a dataset's contact sheet."""
    return f"contact_{dataset}.jpg"


def datasets_with_activities(study: Study) -> list[str]:
    """The study's datasets that have activities; of the same frames under several splits the first."""
    first: dict[tuple[object, ...], str] = {}
    for dataset in study.datasets:
        if labels_of(study, dataset).activities:
            first.setdefault((kind_name(study, dataset), *roots_of(study, dataset).values()), dataset)
    return list(first.values())


def similarity_file(study: Study) -> Path:
    """How alike each test frame and its nearest training frame are, by dataset and split. It is what the figure shows."""
    return results_folder(study) / StudyOutput.FIGURES / f"{FIGURE_LEAKAGE}.json"


def _both(study: Study, stems: list[str]) -> list[Path]:
    return [results_folder(study) / StudyOutput.FIGURES / f"{name}.{kind}" for name in stems for kind in ("png", "pdf")]


def history_figures(study: Study) -> dict[str, list[Path]]:
    """The figures of how trainings went, PNG and PDF, by the dataset that was trained on."""
    trained = dict.fromkeys(cell.dataset for cell in cells_of(study))
    return {dataset: _both(study, [names.figure_of_history(dataset)]) for dataset in trained}


def result_figures(study: Study) -> dict[str, list[Path]]:
    """The figures that are drawn from results, PNG and PDF, by name; what a study can never show is not among them."""
    datasets = evaluated_datasets(study)
    stems = [names.FIGURE_TASKS] if task_pairs(study) else []
    stems += [names.FIGURE_SEGMENTATION] if segments(study) else []
    stems += [names.FIGURE_SEVERITY, names.FIGURE_RETENTION, names.FIGURE_HEATMAP] if robustness_cells(study) else []
    stems += [names.FIGURE_MERGING, names.FIGURE_REPRESENTATIONS] if merging_groups(study) else []
    stems.append(names.FIGURE_COST)
    stems += [names.figure_of_classes(dataset) for dataset in datasets]
    stems += [names.figure_of_confusion(dataset) for dataset in datasets]
    stems += [names.figure_of_history(dataset) for dataset in history_figures(study)]
    return {name: _both(study, [name]) for name in stems}


def figure_files(study: Study) -> list[Path]:
    """All figures, PNG and PDF."""
    drawn = [path for paths in result_figures(study).values() for path in paths]
    return [*drawn, *dataset_figures(study), *leakage_figures(study)]


def report_file(study: Study) -> Path:
    """The page that shows everything."""
    return results_folder(study) / StudyOutput.REPORT / "index.html"


def paper_file(study: Study) -> Path:
    """The LaTeX document of all tables and figures."""
    return results_folder(study) / StudyOutput.PAPER / "paper.tex"


def paper_pdf(study: Study) -> Path:
    """The same, compiled."""
    return paper_file(study).with_suffix(".pdf")


def evaluated_datasets(study: Study) -> list[str]:
    """The datasets that some cell is tested on, in the study's order."""
    tested = {dataset for cell in trainings_of(study) for dataset in evaluated_on(study, cell.dataset)}
    return [dataset for dataset in study.datasets if dataset in tested]
