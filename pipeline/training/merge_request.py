"""Read a request to merge from the arguments of `endoarss merge`: checkpoints, mergers, ranks and folder. This module imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from endoarss.registry import MERGERS
from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.io.hashing import digest
from pipeline.locking.command_locks import TRAINING, cell_lock, study_locks
from pipeline.locking.locks import Lock
from pipeline.results.paths import CellOutput, StudyOutput
from pipeline.study.cell import MERGED, Cell, MergingGroup
from pipeline.study.cells import merged_cells, merging_groups, merging_of, models_of, trainings_of
from pipeline.study.folders import cell_folder, results_folder
from pipeline.study.models import Study


@dataclass(frozen=True)
class Source:
    """A checkpoint to merge.

    Attributes:
        name: name in messages.
        path: the checkpoint.
        cell: its cell, or None if it does not belong to the study.
    """

    name: str
    path: Path
    cell: Cell | None


@dataclass(frozen=True)
class MergeRequest:
    """The merged models that one call of `endoarss merge` makes.

    Attributes:
        sources: the checkpoints to merge.
        mergers_and_ranks: pairs of a merger and a rank of Representation Surgery, 0 for none; each pair gives one merged model.
        group: the merging group of the study if all its merged models are requested, else None.
        out: a folder outside of the study's cells, or None.
        on_test: whether mergers and Surgery use test images instead of training images.
    """

    sources: tuple[Source, ...]
    mergers_and_ranks: tuple[tuple[str, int], ...]
    group: MergingGroup | None
    out: Path | None
    on_test: bool

    def cell(self, merger: str, rank: int) -> Cell | None:
        """Return the cell of a merged model; None if the sources are not cells of the study that differ only in their task."""
        cells = [source.cell for source in self.sources]
        first = cells[0]
        if self.out is not None or first is None or any(cell is not None and cell.merger for cell in cells):
            return None
        merged = {
            cell and replace(cell, architecture=MERGED, weighting=merger, surgery=rank, on_test=self.on_test)
            for cell in cells
        }
        return merged.pop() if len(merged) == 1 else None

    def cells(self) -> list[Cell]:
        """Return all merged cells of the study in this request."""
        cells = [self.cell(merger, rank) for merger, rank in self.mergers_and_ranks]
        return [cell for cell in cells if cell is not None]


def read_request(
    study: Study,
    models: Sequence[str],
    methods: Sequence[str] = (),
    surgery: int | None = None,
    out: Path | None = None,
) -> MergeRequest:
    """Return the request that the arguments of `endoarss merge` describe.

    Args:
        study: the study.
        models: ids of cells, or paths of checkpoints.
        methods: names of mergers; if empty, all mergers and ranks that the study lists for these cells.
        surgery: rank of Representation Surgery, 0 for the study's rank, None for no Surgery.
        out: a folder for the merged model, or None for that of its cell.

    Raises:
        InputError: if a model is neither a cell of the study nor a checkpoint, or is named twice; if arguments cannot be combined; if `out`
            cannot be used; or if there are no methods and the study does not merge these models.
        UnknownNameError: if a merger is unknown.
    """
    sources = tuple(_source(study, name) for name in models)
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: this model is named {names.count(name)} times; expected one model per task.")
    on_test = merging_of(study).unlabelled == "test"
    if not methods:
        options = [key for key, value in (("surgery", surgery), ("out", out)) if value is not None]
        if options:
            raise InputError(f"--{options[0]}: needs --method, which names the merger.")
        return MergeRequest(sources, *_of_group(study, sources), None, on_test)
    if out is not None and len(methods) > 1:
        raise InputError(f"--out: a folder holds one model, but {len(methods)} mergers are named. Name one --method.")
    for method in methods:
        MERGERS.check(method)
    if out is not None:
        _check_out(study, out)
    rank = 0 if surgery is None else surgery or int(merging_of(study).surgery.rank)
    return MergeRequest(sources, tuple((method, rank) for method in dict.fromkeys(methods)), None, out, on_test)


def merge_locks(study: Study, request: MergeRequest) -> list[Lock]:
    """Return the locks of the trainings that are read, and of the merged cells or the folder that is written."""
    locks_folder = study_locks(study)
    locks = [
        Lock(cell_lock(study, source.cell, TRAINING), shared=True)
        for source in request.sources
        if source.cell is not None
    ]
    locks += [Lock(cell_lock(study, cell, TRAINING)) for cell in request.cells()]
    if request.out is not None:
        locks.append(Lock(locks_folder / "merged" / f"{digest(str(request.out.resolve()))[:16]}.lock"))
    if request.group is not None:
        locks.append(Lock(locks_folder / "merging" / f"{request.group.id}.lock"))
    return locks


def notes_on_unlisted(study: Study, request: MergeRequest) -> list[str]:
    """Return a note for each merged cell that the study does not list."""
    listed = set(merged_cells(study))
    return [
        f"{cell.id}: the study's key merging does not list this cell, so tables leave it out and `endoarss clean` deletes it."
        for cell in request.cells()
        if cell not in listed
    ]


def _of_group(study: Study, sources: Sequence[Source]) -> tuple[tuple[tuple[str, int], ...], MergingGroup]:
    cells = {source.cell for source in sources}
    for group in merging_groups(study):
        if cells == set(group.singles):
            return tuple((cell.merger, cell.surgery) for cell in group.merged), group
    known = "\n  ".join(" ".join(cell.id for cell in group.singles) for group in merging_groups(study))
    raise InputError(
        f"--method: missing, and study {study.name!r} does not merge {' and '.join(source.name for source in sources)}. Name a merger with "
        f"--method, or models that the study merges:\n  {known or '(none)'}"
    )


def _check_out(study: Study, out: Path) -> None:
    """Raise InputError if the folder of --out lies among the cells, holds another model, or cannot be created."""
    if out == Path():
        raise InputError("--out: expected a folder other than the working directory.")
    if out.resolve().is_relative_to((results_folder(study) / StudyOutput.CELLS).resolve()):
        raise InputError(f"--out {out}: this folder lies among the study's cells. Name another folder.")
    provenance = out / CellOutput.PROVENANCE
    if (out / CellOutput.CHECKPOINT).exists() and (
        not provenance.is_file() or "merged_from" not in read_json(provenance)
    ):
        raise InputError(f"--out {out}: this folder holds a model that was not merged. Name another folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out}: this folder cannot be created ({error.strerror}). Name another folder."
        ) from None


def _source(study: Study, name: str) -> Source:
    for cell in models_of(study):
        path = cell_folder(study, cell) / CellOutput.CHECKPOINT
        if name == cell.id:
            return Source(name, path, cell)
        if Path(name) in (path, path.parent) or (
            path.is_file() and Path(name).resolve() in (path.resolve(), path.parent.resolve())
        ):
            return Source(cell.id, path, cell)
    path = Path(name) / CellOutput.CHECKPOINT if Path(name).is_dir() else Path(name)
    if path.is_file():
        return Source(str(path), path, None)
    known = "\n  ".join(cell.id for cell in trainings_of(study) if cell.architecture.startswith("single_"))
    raise InputError(
        f"{name!r} is neither a checkpoint nor a cell of study {study.name!r}; its single-task cells are\n  {known or '(none)'}"
    )
