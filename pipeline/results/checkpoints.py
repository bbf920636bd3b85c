"""Load checkpoints of a project: compared with their provenance first, base weights found in the project's own places."""

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
        FileNotFoundError: if the cell has no provenance: it is not trained. InputError: if the checkpoint is another file than
            the one that was trained. SettingsError: if it cannot be loaded.
    """
    path = cell_folder(study, cell) / CellOutput.CHECKPOINT
    _compare(path, read_provenance(study, cell)["checkpoint_sha256"])
    weights = weights_file(study, cell.backbone)
    return load_checkpoint(path, [weights] if weights is not None else [])


def load_file(path: Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> MultiTaskModel:
    """Load a checkpoint that somebody names, from this project or from elsewhere.

    Args:
        path: of the checkpoint; a provenance.json beside it must be that of this file.
        weights: files or folders where its frozen weights are looked for first; then come data/weights and its own folder.
        components: Python modules that register components of its model; they are imported.

    Raises:
        InputError: if it is another file than the one its provenance is of. SettingsError: if it cannot be loaded.
    """
    about = path.with_name("provenance.json")
    # It is of this name alone: what else lies in a cell's folder, such as a standalone copy, is another file.
    if path.name == "model.safetensors" and path.is_file() and about.is_file():
        expected = read_json(about).get("checkpoint_sha256")
        if isinstance(expected, str):
            _compare(path, expected)
    return load_checkpoint(path, [*weights, *project_weights(path)], components)


def write_standalone(checkpoint: Path, out: Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> None:
    """Write a checkpoint that holds its frozen weights too, so that it can be sent as one file.

    Args:
        checkpoint: of any model. out: the new file. weights, components: as `load_file` takes them.

    Raises:
        InputError: if `out` is there already. SettingsError: if the checkpoint cannot be loaded.
    """
    if out.exists():
        raise InputError(f"--standalone {out}: there already; nothing is replaced. Choose another name.")
    model, header = load_file(checkpoint, weights, components), read_header(checkpoint)
    with whole_file(out) as partial:
        save_checkpoint(standalone(model), partial, header.provenance)


def _compare(path: Path, expected: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint. Train the cell again, or run snakemake.")
    found = sha256_of(path)
    if found != expected:
        raise InputError(
            f"{path}: its sha256 is {found[:12]}, provenance.json beside it says {expected[:12]}: the file is damaged, or another one. "
            "Get it back, or train the cell again; nothing was replaced."
        )
