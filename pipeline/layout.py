"""Where a study keeps its files, and which of them each step writes. Rules and command line both ask here."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.kinds import KINDS
from pipeline.study import Cell, Study
from reports.names import TABLE_DATASETS, TABLE_ROBUSTNESS, table_of_dataset


def study_file(study: Study) -> Path:
    """The validated study with its defaults, as the steps read it. Its name holds its digest: a job keeps its study."""
    return study.results / "studies" / f"{study.digest()[:12]}.json"


def dataset_files(study: Study, dataset: str) -> list[Path]:
    """The files that stand for a built dataset; manifest.csv holds the digest of every other."""
    folder = study.dataset_folder(dataset)
    return [folder / "manifest.csv", folder / "dataset.json"]


def generated_trees(study: Study) -> dict[str, Path]:
    """The generated raw trees the study's datasets ask for, by name."""
    if study.generated is None:
        return {}
    roots = study.raw_roots()
    trees = {roots[source] for dataset in study.datasets for source in KINDS[dataset].sources}
    return {root.name: root for root in sorted(trees)}


def generated_mark(root: Path) -> Path:
    """The file that says that a generated tree is whole, and from which settings."""
    return root / "generated.json"


def robustness_files(study: Study, cell: Cell) -> list[Path]:
    """What a robustness evaluation writes."""
    folder = study.cell_folder(cell) / "robustness"
    return [folder / "metrics.json", folder / "per_image.parquet"]


def reference_file(study: Study, dataset: str) -> Path:
    """Scores of the reference answers (majority activity, all background) on a dataset."""
    return study.results / "references" / f"{dataset}.json"


def results_file(study: Study) -> Path:
    """The long table of all measurements."""
    return study.results / "results.parquet"


def table_files(study: Study) -> list[Path]:
    """All tables, CSV and LaTeX."""
    names = [
        TABLE_DATASETS,
        *(table_of_dataset(dataset) for dataset in study.datasets if _is_evaluated(study, dataset)),
    ]
    if study.robustness_cells():
        names.append(TABLE_ROBUSTNESS)
    return [study.results / "tables" / f"{name}.{kind}" for name in names for kind in ("csv", "tex")]


def figure_files(study: Study) -> list[Path]:
    """All figures, PNG and PDF."""
    names = ["fig5_segmentation"] if study.segments() else []
    if study.robustness_cells():
        names.append("fig6_severity")
    return [study.results / "figures" / f"{name}.{kind}" for name in names for kind in ("png", "pdf")]


def report_file(study: Study) -> Path:
    """The page that shows everything."""
    return study.results / "report" / "index.html"


def evaluated_datasets(study: Study) -> list[str]:
    """The datasets that some cell is tested on, in the study's order."""
    return [dataset for dataset in study.datasets if _is_evaluated(study, dataset)]


def _is_evaluated(study: Study, dataset: str) -> bool:
    return any(dataset in study.evaluated_on(cell.dataset) for cell in study.cells())
