"""Check the other saved files: histories, gallery masks, representations, similarities. Imports no torch."""

from __future__ import annotations

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
    """Check history.csv, gallery.npz, representations.npz and similarity.json."""
    check = Check("side files", "histories, gallery masks, representations and similarities")
    missing, not_robust = missing_models(study), missing_robust_models(study)
    for cell in trainings_of(study):
        if cell not in missing:
            with check.collects_errors(paths.history_file(study, cell)):
                _check_history(check, study, cell)
    for cell in robust_models(study):
        if cell not in not_robust:
            with check.collects_errors(paths.robustness_files(study, cell).gallery):
                _check_gallery(check, study, cell)
    for group in merging_groups(study):
        path = paths.representations_file(study, group)
        with check.collects_errors(path):
            if check.has(path):
                read_representations(path)
                check.checked += 1
    if leakage_datasets(study):
        with check.collects_errors(paths.similarity_file(study)):
            _check_similarity(check, study)
    return check


def _check_history(check: Check, study: Study, cell: Cell) -> None:
    path = paths.history_file(study, cell)
    if not check.has(path):
        return
    check.checked += 1
    epochs, expected = read_history(path).epoch.tolist(), schedule_of(study, cell).epochs
    if epochs != list(range(1, expected + 1)):
        check.fail(path, f"{len(epochs)} rows, the last is epoch {epochs[-1]:g}", f"epochs 1 to {expected}", _TRAIN)


def _check_gallery(check: Check, study: Study, cell: Cell) -> None:
    path = paths.robustness_files(study, cell).gallery
    frames, masks = read_gallery(path, len(labels_of(study, cell.dataset).classes))
    check.checked += 1
    folder = dataset_folder(study, cell.dataset)
    if not (folder / "manifest.csv").is_file():
        check.gaps.append(f"{folder}: not built; the images of {path} cannot be compared with it")
        return
    rows = read_manifest(folder)
    unexpected = sorted(set(frames) - {row["frame_id"] for row in rows if row["split"] == "test"})
    if unexpected:
        check.fail(path, f"holds the image {unexpected[0]!r}", "images of the test split", _ROBUSTNESS)
    unknown = sorted({name for name, _ in masks} - {"", *known_corruptions()})
    if unknown:
        check.fail(path, f"holds masks under {unknown[0]!r}", "known corruptions", _ROBUSTNESS)


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
            check.fail(path, f"no split of {dataset}", "random_by_activity and by_sequence", _DRAW)
