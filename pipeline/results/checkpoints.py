"""Compares checkpoints with their provenance, loads them with base weights from the project's folders, and writes standalone copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from endoarss.base_weights import project_weights
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import load_checkpoint, save_checkpoint, standalone
from endoarss.models import MultiTaskModel
from pipeline.errors import InputError
from pipeline.io.files import read_json, whole_file
from pipeline.io.hashing import sha256_of
from pipeline.results.paths import CellOutput
from pipeline.results.provenance import read_provenance
from pipeline.study.cell import Cell
from pipeline.study.folders import cell_folder, weights_file
from pipeline.study.models import Study


def load_cell(study: Study, cell: Cell) -> MultiTaskModel:
    """Load the model of a trained or merged cell.

    Raises:
        FileNotFoundError: if the cell has no provenance, because it is not trained.
        InputError: if the provenance is not valid, or if the checkpoint is missing or is not the file that its provenance describes.
        SettingsError: if the checkpoint cannot be loaded.
    """
    path = cell_folder(study, cell) / CellOutput.CHECKPOINT
    _compare(path, read_provenance(study, cell)["checkpoint_sha256"])
    weights = weights_file(study, cell.backbone)
    return load_checkpoint(path, [weights] if weights is not None else [])


def load_file(path: Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> MultiTaskModel:
    """Load a checkpoint that a user names, from this project or from elsewhere.

    Args:
        path: the checkpoint. A provenance.json next to it must describe this file.
        weights: files or folders that are searched for the model's frozen weights before data/weights and the checkpoint's folder.
        components: Python modules to import, which register components of the model.

    Raises:
        InputError: if the provenance describes another file.
        SettingsError: if the checkpoint cannot be loaded.
    """
    provenance_path = path.with_name("provenance.json")
    # The provenance describes only the file of this name. A standalone copy in the same folder has another name.
    if path.name == "model.safetensors" and path.is_file() and provenance_path.is_file():
        expected = read_json(provenance_path).get("checkpoint_sha256")
        if isinstance(expected, str):
            _compare(path, expected)
    return load_checkpoint(path, [*weights, *project_weights(path)], components)


def write_standalone(checkpoint: Path, out: Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> None:
    """Write a checkpoint that includes its frozen weights, so that it can be sent as one file.

    Args:
        checkpoint: a checkpoint of any model.
        out: the new file.
        weights: as `load_file` takes them.
        components: as `load_file` takes them.

    Raises:
        InputError: if `out` exists, or if `load_file` raises it.
        SettingsError: if the checkpoint cannot be loaded.
    """
    if out.exists():
        raise InputError(f"--standalone {out}: this file exists, and it is not replaced. Choose another name.")
    model, header = load_file(checkpoint, weights, components), read_header(checkpoint)
    with whole_file(out) as partial:
        save_checkpoint(standalone(model), partial, header.provenance)


def _compare(path: Path, expected: str) -> None:
    """Raise InputError if a checkpoint is missing or does not have the expected SHA-256."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint. Train the cell again, or run snakemake.")
    actual = sha256_of(path)
    if actual != expected:
        raise InputError(
            f"{path}: its SHA-256 is {actual[:12]}, but provenance.json next to it has {expected[:12]}: the file is damaged, or it is "
            "another file. Restore it, or train the cell again. Nothing was replaced."
        )
