"""Return the folders and files of a study's data, weights and results."""

from __future__ import annotations

from pathlib import Path

from endoarss.settings import WEIGHTS_FOLDER
from pipeline.datasets.kinds import PLAIN_KEYS, WHERE_TO_ASK
from pipeline.errors import InputError
from pipeline.study.cell import Cell
from pipeline.study.cells import trainings_of
from pipeline.study.datasets import recipe_of
from pipeline.study.environment import expand
from pipeline.study.models import Study, WeightsFile

WEIGHTS = WEIGHTS_FOLDER
"""The folder of pretrained weights. A study's own pretraining writes to it, and users may put files there."""


def results_folder(study: Study) -> Path:
    """Return results/<study>."""
    return Path("results") / study.name


def cell_folder(study: Study, cell: Cell) -> Path:
    """Return the folder of a trained or merged model."""
    return results_folder(study) / "cells" / cell.id


def dataset_folder(study: Study, dataset: str) -> Path:
    """Return data/datasets/<name>. For generated data, the name of the raw trees is added, so that real and generated data never mix."""
    suffix = f"-{study.raw.generate.name}" if study.raw.generate else ""
    return Path("data/datasets") / f"{dataset}{suffix}"


def raw_roots(study: Study) -> dict[str, Path]:
    """Return the folder of each raw tree by source. For real data, these are the sources that the study names.

    Raises:
        InputError: if a path names an environment variable that is not set.
    """
    if study.raw.generate:
        root = Path("data/raw") / study.raw.generate.name
        folders = {"vqla2018": "endovis2018", "vqla2017": "endovis2017"}
        return {source: root / folders.get(source, source) for source in WHERE_TO_ASK}
    return {source: Path(expand(text)) for source, text in _raw_paths(study).items()}


def roots_of(study: Study, dataset: str) -> dict[str, Path]:
    """Return the raw trees of a dataset, by source."""
    if plain := _plain_paths(study, dataset):
        return {source: Path(expand(text)) for source, text in plain.items()}
    raw = raw_roots(study)
    return {source: raw[source] for source in recipe_of(study, dataset).sources}


def roots_as_written(study: Study, dataset: str) -> list[str]:
    """Return the raw trees of a dataset as written in the study. Environment variables stay, because they may hold secrets."""
    if study.raw.generate:
        return [str(root) for root in roots_of(study, dataset).values()]
    if plain := _plain_paths(study, dataset):
        return list(plain.values())
    return [_raw_paths(study)[source] for source in recipe_of(study, dataset).sources]


def weights_file(study: Study, backbone: str) -> Path | None:
    """Return the file of a backbone's weights that the study names, or None if its weights come from the hub or are random."""
    weights = study.backbones[backbone].weights
    return Path(expand(weights.file)) if isinstance(weights, WeightsFile) else None


def pretrained_file(study: Study) -> Path | None:
    """Return the file that the study's own pretraining writes, or None without pretraining."""
    return WEIGHTS / f"{study.pretraining.name}.safetensors" if study.pretraining else None


def check_weights(study: Study) -> None:
    """Check that the weights files of all backbones in cells exist, except the file that the study's own pretraining writes.

    Raises:
        InputError: if a file is missing, or its environment variable is not set.
    """
    for backbone in dict.fromkeys(cell.backbone for cell in trainings_of(study)):
        file = weights_file(study, backbone)
        if file is not None and file != pretrained_file(study) and not file.is_file():
            raise InputError(
                f"backbones.{backbone}.weights.file: {file} is missing. Put it there, or name another file."
            )


def _plain_paths(study: Study, dataset: str) -> dict[str, str]:
    """Return the folders of the user's own frames by source, as written in the study; empty for known kinds."""
    plain = study.datasets[dataset].plain
    keys = plain.as_dict() if plain else {}
    return {source: keys[key] for key, source in PLAIN_KEYS.items() if key in keys}


def _raw_paths(study: Study) -> dict[str, str]:
    return {source: path for source, path in study.raw.as_dict().items() if source in WHERE_TO_ASK}
