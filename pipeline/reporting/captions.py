"""Writes captions that state whether the data is synthetic or real, which frames are missing, and how models were trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.reporting.dataset_cards import card_of
from pipeline.reporting.models import label_of
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import evaluated_on, titles_of
from pipeline.study.models import Study
from reports.names import in_words
from reports.results import weights_note

AUTHORS_CODE_NOTE = (
    "Computed as in the authors' code: AC is mean precision, HD is a distance between rows of class ids (not in pixels), SSIM compares "
    "class ids, and absent classes count 0."
)


def data_caption(study: Study, datasets: Sequence[str] = ()) -> str:
    """Return one line that states whether data is synthetic, and which datasets are partial. No names mean all datasets of the study."""
    kind = "SYNTHETIC DATA (generated scenes)" if study.synthetic else "Real data"
    partial = partial_note(study, datasets)
    return f"{kind}. {partial} Study {study.name}." if partial else f"{kind}. Study {study.name}."


def partial_note(study: Study, datasets: Sequence[str] = ()) -> str:
    """Return a sentence on the datasets that lack frames, or "" if all are complete."""
    cards = [card_of(study, dataset) for dataset in datasets or study.datasets]
    incomplete = [
        f"{card['title']} {card['frames']:,} of {card['expected_frames']:,} frames"
        for card in cards
        if card["complete"] is False
    ]
    return f"PARTIAL DATA ({'; '.join(incomplete)})." if incomplete else ""


def study_caption(results: StudyResults, with_protocol: bool = True, select_on: str = "") -> str:
    """Return the two lines that describe the numbers of a table or figure.

    Args:
        results: The results of the study.
        with_protocol: Whether to name the study's protocol. Tables name their own protocol.
        select_on: How checkpoints were selected, if not as the study says: last, val or test.

    Raises:
        ResultsError: if the results are not collected.
    """
    study = results.study
    seeds = ", ".join(map(str, study.seeds))
    selection = {
        "last": "last epoch",
        "val": "epoch chosen on a validation split",
        "test": "EPOCH CHOSEN ON THE TEST SPLIT (as in the authors' code; not to be compared)",
    }[select_on or study.training.select_on]
    weights = results.once(_weights_note)
    protocol = f", protocol: {in_words(study.protocol)}" if with_protocol else ""
    return f"{data_caption(study)[:-1]}{protocol}, {selection}, seed {seeds}.\n{weights}."


def _weights_note(results: StudyResults) -> str:
    return weights_note(results.table)


def first_seed_note(study: Study) -> str:
    """Return a sentence for a table or figure that shows only the cells of the first seed, or "" if the study has one seed."""
    return f"Only the trainings with seed {study.seeds[0]} are shown." if len(study.seeds) > 1 else ""


def gap_note(study: Study, gaps: Mapping[Cell, str]) -> str:
    """Return one sentence per reason that names the cells without results, or "" if all cells have results."""
    by_reason: dict[str, list[str]] = {}
    for cell, reason in gaps.items():
        seed = f" (seed {cell.seed})" if len(study.seeds) > 1 else ""
        by_reason.setdefault(reason, []).append(f"{label_of(study, cell)} on {titles_of(study)[cell.dataset]}{seed}")
    return " ".join(f"No results of {_joined(names)}: {reason}." for reason, names in by_reason.items())


def has_other_ranks(study: Study, dataset: str = "") -> bool:
    """Return whether cells that are tested on a dataset, or on any dataset, have another rank of the adapters than the study's."""
    cells = (cell for cell in cells_of(study) if not dataset or dataset in evaluated_on(study, cell.dataset))
    return any(cell.rank != study.lora.rank for cell in cells)


def _joined(names: Iterable[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} and {last}" if others else last
