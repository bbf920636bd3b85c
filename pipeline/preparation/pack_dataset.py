"""Packs a built dataset into arrays at a study's input size."""

from __future__ import annotations

from pipeline.datasets.arrays import array_digests, delete_outdated_arrays
from pipeline.datasets.load import load_split
from pipeline.datasets.manifest import read_manifest
from pipeline.io.files import write_json
from pipeline.results.paths import arrays_file
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def pack_dataset(study: Study, dataset: str, workers: int = 1) -> None:
    """Pack a built dataset into arrays at the study's input size, and write a list of the arrays with their digests."""
    folder, size = dataset_folder(study, dataset), study.input_size
    splits = sorted({row["split"] for row in read_manifest(folder)})
    shapes = {split: list(load_split(folder, split, size, workers).images.shape) for split in splits}
    delete_outdated_arrays(folder, splits, size)
    sha256 = {split: array_digests(folder, split, size) for split in splits}
    write_json(arrays_file(study, dataset), {"size": size, "images": shapes, "sha256": sha256})
