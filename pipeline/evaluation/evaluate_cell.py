"""Score a trained cell on its datasets, from its kept predictions. Imports no torch."""

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
    """Score the cells with these ids, see `evaluate_cell`.

    Args:
        study: the study.
        cells: ids, each counted once.
        again: let the models predict again first, which imports torch.

    Raises:
        InputError: if the study has no such cell, or it is not merged yet.
    """
    for cell in [find_cell(study, cell_id) for cell_id in dict.fromkeys(cells)]:
        check_made(study, cell)
        evaluate_cell(study, cell, _predicted_again(study, cell) if again else None)


def _predicted_again(study: Study, cell: Cell) -> dict[str, SavedPredictions]:
    from pipeline.evaluation.predict_cell import predict_cell
    from pipeline.results.checkpoints import load_cell

    return predict_cell(study, cell, load_cell(study, cell))


def evaluate_cell(study: Study, cell: Cell, again: Mapping[str, SavedPredictions] | None = None) -> None:
    """Write eval/<dataset>/{metrics.json,per_image.parquet} of a trained cell, and metrics.json of all its datasets.

    Args:
        again: predictions that were just made, by dataset; they replace the kept ones and their digests in provenance.json, together
            with what is measured of them. None scores those that are kept.

    Raises:
        InputError: if a dataset is not built, or predictions are missing or damaged; then nothing is replaced.
    """
    whole = {}
    with whole_files() as beside:
        digests = {}
        for dataset in evaluated_on(study, cell.dataset):
            source = predictions_file(study, cell, dataset)
            if again is not None:
                source = beside(source)
                write_predictions(source, again[dataset])
            digests[dataset] = sha256_of(source)
            rows = measure_saved_predictions(study, cell, dataset, source)
            scores = scores_of(rows, labels_of(study, dataset))
            rows.to_parquet(beside(rows_file(study, cell, dataset)), index=False)
            scored = {"predictions_sha256": digests[dataset], "protocol": STANDARD}
            write_json(beside(scores_file(study, cell, dataset)), {**scored, "scores": scores})
            whole[dataset] = scores_of_whole(scores)
        write_json(beside(cell_folder(study, cell) / CellOutput.METRICS), whole)
        if again is not None:
            about = cell_folder(study, cell) / CellOutput.PROVENANCE
            write_json(beside(about), read_json(about) | {"predictions_sha256": digests})


def measure_saved_predictions(study: Study, cell: Cell, dataset: str, source: Path | None = None) -> pd.DataFrame:
    """Measure a trained cell's kept predictions on a dataset's test split.

    Args:
        source: the file with the predictions, if it is not the cell's own.

    Raises:
        InputError: as `evaluate_cell`.
    """
    part = load_split(dataset_folder(study, dataset), "test", study.input_size)
    labels = labels_of(study, dataset)
    kept = read_predictions(source or predictions_file(study, cell, dataset), part.frame_ids, labels)
    return measure(part, part.masks, labels, kept.activity, kept.masks, kept.confidence)
