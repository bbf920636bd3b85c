"""Draws the figures of a study's built datasets: contact sheets, balance, classes by activity, and leakage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.datasets.kinds import TEST_SEQUENCES
from pipeline.datasets.leakage import similarity_by_split
from pipeline.datasets.load import load_split
from pipeline.datasets.manifest import read_manifest
from pipeline.datasets.splits import hash_rank
from pipeline.io.files import whole_file, write_json
from pipeline.io.images import Pixels, read_ids, read_rgb
from pipeline.reporting.captions import data_caption
from pipeline.reporting.dataset_cards import card_of
from pipeline.results import paths
from pipeline.study.datasets import kind_name, leakage_datasets, titles_of
from pipeline.study.folders import dataset_folder, results_folder
from pipeline.study.models import Study
from reports.figures import datasets as dataset_figures

_EXAMPLES_PER_CLASS = 6
_PICTURE_SIZE = (240, 192)  # width and height of an image in a contact sheet, in pixels


def draw_datasets(study: Study) -> None:
    """Write the contact sheet of each dataset, the figure of class balance, and figure 1 (a)."""
    caption, folder = data_caption(study), results_folder(study) / "figures"
    cards = {dataset: card_of(study, dataset) for dataset in study.datasets}
    for dataset, card in cards.items():
        with whole_file(folder / paths.contact_sheet(dataset)) as jpeg:
            rows = read_manifest(dataset_folder(study, dataset))
            examples = {c: _examples(dataset_folder(study, dataset), rows, c) for c in card["classes"][1:]}
            dataset_figures.draw_contact_sheet(card, examples, caption, jpeg)
    with (
        whole_file(folder / f"{paths.FIGURE_BALANCE}.png") as png,
        whole_file(folder / f"{paths.FIGURE_BALANCE}.pdf") as pdf,
    ):
        dataset_figures.draw_balance(list(cards.values()), caption, png, pdf)
    with_activities = paths.datasets_with_activities(study)
    if with_activities:
        with (
            whole_file(folder / f"{paths.FIGURE_CLASSES}.png") as png,
            whole_file(folder / f"{paths.FIGURE_CLASSES}.pdf") as pdf,
        ):
            dataset_figures.draw_classes_by_activity([cards[dataset] for dataset in with_activities], caption, png, pdf)


def _examples(folder: Path, manifest: list[dict[str, str]], label: str) -> list[dataset_figures.Example]:
    """Return frames that show a class, in the order of their hash rank. Frames of different activities and sequences come first."""
    rows = [row for row in manifest if label in row["instruments"].split(";")]
    rows.sort(key=lambda row: hash_rank(0, row["frame_id"]))
    shown_before: dict[tuple[str, str], int] = {}
    ranked: list[tuple[int, int, dict[str, str]]] = []
    for row in rows:
        previous = max(
            shown_before.get(("activity", row["activity"]), 0), shown_before.get(("sequence", row["sequence"]), 0)
        )
        for kind in ("activity", "sequence"):
            shown_before[kind, row[kind]] = previous + 1
        ranked.append((previous, len(ranked), row))
    selected = [row for _, _, row in sorted(ranked, key=lambda item: item[:2])[:_EXAMPLES_PER_CLASS]]
    return [
        dataset_figures.Example(
            _resized(read_rgb(folder / row["image"])),
            _resized(read_ids(folder / row["mask"])),
            " ".join(filter(None, (row["activity"], row["sequence"], f"({row['split']})"))),
        )
        for row in selected
    ]


def _resized(pixels: Pixels) -> Pixels:
    """Return an image or mask at the size of images in a contact sheet. Its aspect ratio may change."""
    return cv2.resize(pixels, _PICTURE_SIZE, interpolation=cv2.INTER_AREA if pixels.ndim == 3 else cv2.INTER_NEAREST)


def draw_leakage(study: Study) -> None:
    """Write the similarities of test and training frames of the datasets that `leakage_datasets` returns, and draw their figure."""
    similarities = {}
    for dataset in leakage_datasets(study):
        folder = dataset_folder(study, dataset)
        rows = {row["frame_id"]: row for row in read_manifest(folder)}
        splits_data = [load_split(folder, split, study.input_size) for split in ("train", "test")]
        similarities[dataset] = similarity_by_split(
            np.concatenate([split_data.images for split_data in splits_data]),
            [frame_id for split_data in splits_data for frame_id in split_data.frame_ids],
            {frame_id: row["activity"] for frame_id, row in rows.items()},
            {frame_id: row["sequence"] for frame_id, row in rows.items()},
            TEST_SEQUENCES[kind_name(study, dataset)],
            study.datasets[dataset].split_seed,
        )
    rounded = {
        d: {split: [round(float(v), 6) for v in values] for split, values in s.items()} for d, s in similarities.items()
    }
    write_json(paths.similarity_file(study), rounded)
    by_title = {titles_of(study)[dataset]: splits for dataset, splits in similarities.items()}
    folder = results_folder(study) / "figures"
    with (
        whole_file(folder / f"{paths.FIGURE_LEAKAGE}.png") as png,
        whole_file(folder / f"{paths.FIGURE_LEAKAGE}.pdf") as pdf,
    ):
        dataset_figures.draw_leakage(by_title, data_caption(study, leakage_datasets(study)), png, pdf)
