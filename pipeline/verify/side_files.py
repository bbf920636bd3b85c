"""Check the other saved files: histories, gallery masks, representations, similarities. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from corruptions import known_corruptions
from pipeline.datasets.manifest import read_manifest
from pipeline.io.saved_files import read_history, read_representations, read_similarities
from pipeline.results import paths
from pipeline.results.cell_state import missing_models, missing_robust_models
from pipeline.results.gallery import read_gallery
from pipeline.study.cell import Cell
from pipeline.study.cells import merging_groups, schedule_of, trainings_of
from pipeline.study.datasets import labels_of, leakage_datasets
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.findings import Check

_TRAIN = "Train the cell again, or run snakemake."
_ROBUSTNESS = "Evaluate the cell's robustness again, or run snakemake."
_DRAW = "Run snakemake, or: endoarss step draw_leakage."


def check_side_files(study: Study) -> Check:
    """Check the values of history.csv, gallery.npz, representations.npz and similarity.json, and list files that are not checked."""
    check = Check("side files", "histories, gallery masks, representations and similarities")
    lacking, not_robust = missing_models(study), missing_robust_models(study)
    for cell in trainings_of(study):
        if cell not in lacking:
            with check.survives(paths.history_file(study, cell)):
                _check_history(check, study, cell)
    for cell in robust_models(study):
        if cell not in not_robust:
            with check.survives(paths.robustness_files(study, cell).gallery):
                _check_gallery(check, study, cell)
    for group in merging_groups(study):
        path = paths.representations_file(study, group)
        with check.survives(path):
            if check.has(path):
                read_representations(path)
                check.checked += 1
    if leakage_datasets(study):
        with check.survives(paths.similarity_file(study)):
            _check_similarity(check, study)
    _list_others(check, study)
    return check


def _check_history(check: Check, study: Study, cell: Cell) -> None:
    path = paths.history_file(study, cell)
    if not check.has(path):
        return
    check.checked += 1
    epochs, expected = read_history(path).epoch.tolist(), schedule_of(study, cell).epochs
    if epochs != list(range(1, expected + 1)):
        check.fail(path, f"{len(epochs)} rows, the last of epoch {epochs[-1]:g}", f"epochs 1 to {expected}", _TRAIN)


def _check_gallery(check: Check, study: Study, cell: Cell) -> None:
    path = paths.robustness_files(study, cell).gallery
    frames, kept = read_gallery(path, len(labels_of(study, cell.dataset).classes))
    check.checked += 1
    folder = dataset_folder(study, cell.dataset)
    if not (folder / "manifest.csv").is_file():
        check.gaps.append(f"{folder}: not built; the images of {path} cannot be compared with it")
        return
    rows = read_manifest(folder)
    odd = sorted(set(frames) - {row["frame_id"] for row in rows if row["split"] == "test"})
    if odd:
        check.fail(path, f"holds the image {odd[0]!r}", "images of the test split", _ROBUSTNESS)
    strange = sorted({name for name, _ in kept} - {"", *known_corruptions()})
    if strange:
        check.fail(path, f"holds masks under {strange[0]!r}", "corruptions that are known", _ROBUSTNESS)


def _check_similarity(check: Check, study: Study) -> None:
    path = paths.similarity_file(study)
    if not check.has(path):
        return
    check.checked += 1
    for dataset, splits in read_similarities(path).items():
        if dataset not in study.datasets:
            check.fail(
                path, f"holds the dataset {dataset!r}", f"datasets of the study: {', '.join(study.datasets)}", _DRAW
            )
        elif not splits:
            check.fail(path, f"no split of {dataset}", "random_by_activity, and by_sequence", _DRAW)


def _list_others(check: Check, study: Study) -> None:
    """List the files that a verification does not check."""
    groups: dict[str, list[Path]] = {
        "tables": paths.table_files(study),
        "figures": paths.figure_files(study),
        "the page": [paths.report_file(study)],
        "paper.tex": [paths.paper_file(study)],
    }
    listed = [f"{name} ({there})" for name, files in groups.items() if (there := sum(path.is_file() for path in files))]
    if listed:
        check.told.append(f"not checked: {', '.join(listed)}; `endoarss report` makes them again from verified files.")
