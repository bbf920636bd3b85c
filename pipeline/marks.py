"""What every table and figure says of its data: synthetic or real, and what it lacks."""

from __future__ import annotations

from pipeline.datasets.card import read_card
from pipeline.study import Study


def data_mark(study: Study) -> str:
    """Synthetic or real, and which datasets are partial, in one line."""
    kind = "SYNTHETIC DATA (generated scenes)" if study.synthetic else "Real data"
    partial = partial_note(study)
    return f"{kind}. {partial} Study {study.name}." if partial else f"{kind}. Study {study.name}."


def partial_note(study: Study) -> str:
    """Which datasets of the study lack frames, "" if none does."""
    cards = [read_card(study.dataset_folder(dataset)) for dataset in study.datasets]
    lacking = [
        f"{card['title']} {card['frames']:,} of {card['expected_frames']:,} frames"
        for card in cards
        if card["complete"] is False
    ]
    return f"PARTIAL DATA ({'; '.join(lacking)})." if lacking else ""
