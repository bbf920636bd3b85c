"""What every table and figure says of its data: synthetic or real, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.datasets.card import read_card
from pipeline.results.paths import results_file
from pipeline.study.study import Study
from reports.results import read_results, weights_note


def data_mark(study: Study, datasets: Sequence[str] = ()) -> str:
    """Synthetic or real, and which of the datasets (all of the study where none are named) are partial, in one line."""
    kind = "SYNTHETIC DATA (generated scenes)" if study.synthetic else "Real data"
    partial = partial_note(study, datasets)
    return f"{kind}. {partial} Study {study.name}." if partial else f"{kind}. Study {study.name}."


def partial_note(study: Study, datasets: Sequence[str] = ()) -> str:
    """Which datasets lack frames, "" if none does."""
    cards = [read_card(study.dataset_folder(dataset)) for dataset in datasets or study.datasets]
    lacking = [
        f"{card['title']} {card['frames']:,} of {card['expected_frames']:,} frames"
        for card in cards
        if card["complete"] is False
    ]
    return f"PARTIAL DATA ({'; '.join(lacking)})." if lacking else ""


def study_mark(study: Study, with_protocol: bool = True, select_on: str = "") -> str:
    """What every table, figure and caption says of its numbers, in two lines.

    Args:
        with_protocol: whether the study's protocol is named; a table says its own. select_on: of its numbers, if not the study's.

    Raises:
        ResultsError: if the results are not collected.
    """
    seeds = ", ".join(map(str, study.settings["seeds"]))
    chosen = {
        "last": "last epoch",
        "val": "epoch chosen on a validation part",
        "test": "EPOCH CHOSEN ON THE TEST PART (as the released code does; not to be compared)",
    }[select_on or study.select_on]
    weights = weights_note(read_results(results_file(study), study.name, study.protocol))
    protocol = f", protocol {study.protocol}" if with_protocol else ""
    return f"{data_mark(study)[:-1]}{protocol}, {chosen}, seed {seeds}.\n{weights}."
