"""Load checkpoints: each is compared with its provenance first, and base weights are looked for in the folders of the project."""

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
        InputError: if the checkpoint is not the file that was trained.
        SettingsError: if it cannot be loaded.
    """
    path = cell_folder(study, cell) / CellOutput.CHECKPOINT
    _compare(path, read_provenance(study, cell)["checkpoint_sha256"])
    weights = weights_file(study, cell.backbone)
    return load_checkpoint(path, [weights] if weights is not None else [])


def load_file(path: Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> MultiTaskModel:
    """Load a checkpoint that a user names, from this project or from elsewhere.

    Args:
        path: the checkpoint; if a provenance.json lies next to it, it must belong to this file.
        weights: files or folders where its frozen weights are looked for first; then data/weights and its own folder are.
        components: Python modules that register components of its model; they are imported.

    Raises:
        InputError: if the provenance belongs to another file.
        SettingsError: if it cannot be loaded.
    """
    about = path.with_name("provenance.json")
    # The provenance describes only the file of this name, not for example a standalone copy in the same folder.
    if path.name == "model.safetensors" and path.is_file() and about.is_file():
        expected = read_json(about).get("checkpoint_sha256")
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
        InputError: if `out` exists.
        SettingsError: if the checkpoint cannot be loaded.
    """
    if out.exists():
        raise InputError(f"--standalone {out}: this file exists, and it is not replaced. Choose another name.")
    model, header = load_file(checkpoint, weights, components), read_header(checkpoint)
    with whole_file(out) as partial:
        save_checkpoint(standalone(model), partial, header.provenance)


def _compare(path: Path, expected: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint. Train the cell again, or run snakemake.")
    found = sha256_of(path)
    if found != expected:
        raise InputError(
            f"{path}: its SHA-256 is {found[:12]}, but provenance.json next to it has {expected[:12]}: the file is damaged, or it is "
            "another one. Restore it, or train the cell again. Nothing was replaced."
        )
