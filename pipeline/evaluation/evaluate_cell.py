"""Score a trained cell on its datasets from its saved predictions. This module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from endoarss.metrics import STANDARD
from pipeline.datasets.load import load_split
from pipeline.evaluation.measure import measure
from pipeline.evaluation.scores import scores_of, scores_of_whole
from pipeline.io.files import read_json, whole_files, write_json
from pipeline.io.hashing import sha256_of
from pipeline.results.cell_state import check_made
from pipeline.results.paths import CellOutput, predictions_file, rows_file, scores_file
from pipeline.results.predictions import SavedPredictions, read_predictions, write_predictions
from pipeline.study.cell import Cell
from pipeline.study.cells import find_cell
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study


def evaluate_cells(study: Study, cells: Sequence[str], again: bool = False) -> None:
    """Score cells by id, as `evaluate_cell` does.

    Args:
        study: the study.
        cells: ids of cells; repeated ids count once.
        again: whether the models first predict again, which imports torch.

    Raises:
        InputError: if the study has no such cell, or the cell is not merged yet; and as for `evaluate_cell`.
    """
    for cell in [find_cell(study, cell_id) for cell_id in dict.fromkeys(cells)]:
        check_made(study, cell)
        evaluate_cell(study, cell, _predict_again(study, cell) if again else None)


def _predict_again(study: Study, cell: Cell) -> dict[str, SavedPredictions]:
    from pipeline.evaluation.predict_cell import predict_cell
    from pipeline.results.checkpoints import load_cell

    return predict_cell(study, cell, load_cell(study, cell))


def evaluate_cell(study: Study, cell: Cell, again: Mapping[str, SavedPredictions] | None = None) -> None:
    """Write eval/<dataset>/{metrics.json,per_image.parquet} of a cell for each of its datasets, and metrics.json for all of them.

    Args:
        study: the study.
        cell: a trained or merged cell of it.
        again: new predictions by dataset. They replace the saved predictions, and their digests replace those in provenance.json. If
            None, the saved predictions are scored.

    Raises:
        InputError: if a dataset is not built, or predictions are missing or damaged. No file is replaced in that case.
    """
    scores_by_dataset = {}
    with whole_files() as temporary:
        digests = {}
        for dataset in evaluated_on(study, cell.dataset):
            source = predictions_file(study, cell, dataset)
            if again is not None:
                source = temporary(source)
                write_predictions(source, again[dataset])
            digests[dataset] = sha256_of(source)
            rows = measure_saved_predictions(study, cell, dataset, source)
            scores = scores_of(rows, labels_of(study, dataset))
            rows.to_parquet(temporary(rows_file(study, cell, dataset)), index=False)
            content = {"predictions_sha256": digests[dataset], "protocol": STANDARD, "scores": scores}
            write_json(temporary(scores_file(study, cell, dataset)), content)
            scores_by_dataset[dataset] = scores_of_whole(scores)
        write_json(temporary(cell_folder(study, cell) / CellOutput.METRICS), scores_by_dataset)
        if again is not None:
            provenance = cell_folder(study, cell) / CellOutput.PROVENANCE
            write_json(temporary(provenance), read_json(provenance) | {"predictions_sha256": digests})


def measure_saved_predictions(study: Study, cell: Cell, dataset: str, source: Path | None = None) -> pd.DataFrame:
    """Return the measurements of a cell's saved predictions on the test split of a dataset.

    Args:
        study: the study.
        cell: a trained or merged cell of it.
        dataset: a dataset that the cell is evaluated on.
        source: the file with the predictions, by default the cell's own.

    Raises:
        InputError: if the dataset is not built, or the predictions are missing or damaged.
    """
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    labels = labels_of(study, dataset)
    saved = read_predictions(source or predictions_file(study, cell, dataset), split.frame_ids, labels)
    return measure(split, split.masks, labels, saved.activity, saved.masks, saved.confidence)
