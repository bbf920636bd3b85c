"""What every table and figure says of its data: synthetic or real, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.datasets.card import read_card
from pipeline.study import Study


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
