"""What `endoarss merge` is asked: which checkpoints, by which mergers, and where the result goes. Imports no torch."""

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
    """A checkpoint to merge. name: what messages call it. cell: where it is one of the study's."""

    name: str
    path: Path
    cell: Cell | None


@dataclass(frozen=True)
class MergeRequest:
    """sources: what to merge. wanted: mergers and ranks of Surgery, 0 for none. group: the study's own, where it is asked for whole.
    out: a folder beside the study's results, or None. on_test: whether test images are what mergers and Surgery see."""

    sources: tuple[Source, ...]
    wanted: tuple[tuple[str, int], ...]
    group: MergingGroup | None
    out: Path | None
    on_test: bool

    def cell(self, merger: str, rank: int) -> Cell | None:
        """The merged cell of the study that is asked for; None where the sources are not of the study, or differ in more than the task."""
        cells = [source.cell for source in self.sources]
        first = cells[0]
        if self.out is not None or first is None or any(cell is not None and cell.merger for cell in cells):
            return None
        found = {
            cell and replace(cell, architecture=MERGED, weighting=merger, surgery=rank, on_test=self.on_test)
            for cell in cells
        }
        return found.pop() if len(found) == 1 else None

    def cells(self) -> list[Cell]:
        """All merged cells of the study that are asked for."""
        found = [self.cell(merger, rank) for merger, rank in self.wanted]
        return [cell for cell in found if cell is not None]


def read_request(
    study: Study,
    models: Sequence[str],
    methods: Sequence[str] = (),
    surgery: int | None = None,
    out: Path | None = None,
) -> MergeRequest:
    """Understand what `endoarss merge` is given.

    Args:
        study: the study.
        models: cells of it, or checkpoints.
        methods: names of mergers; none for all that the study asks of these cells.
        surgery: the rank of Representation Surgery, 0 for the study's; None for none.
        out: a folder of one's own for the merged model.

    Raises:
        InputError: if a model is neither a cell of the study nor a checkpoint, a merger is unknown, or arguments do not go together.
    """
    sources = tuple(_source(study, name) for name in models)
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: named {names.count(name)} times; expected a model of each task.")
    on_test = merging_of(study).unlabelled == "test"
    if not methods:
        given = [key for key, value in (("surgery", surgery), ("out", out)) if value is not None]
        if given:
            raise InputError(f"--{given[0]}: goes with --method alone, which says how to merge.")
        return MergeRequest(sources, *_of_group(study, sources), None, on_test)
    if out is not None and len(methods) > 1:
        raise InputError(f"--out: a folder is for one model; --method was given {len(methods)} times.")
    for method in methods:
        MERGERS.check(method)
    if out is not None:
        _check_out(study, out)
    rank = 0 if surgery is None else surgery or int(merging_of(study).surgery.rank)
    return MergeRequest(sources, tuple((method, rank) for method in dict.fromkeys(methods)), None, out, on_test)


def merge_locks(study: Study, request: MergeRequest) -> list[Lock]:
    """Return the locks of the trainings that are read, and of what is written: merged cells, or a folder of one's own."""
    here = study_locks(study)
    locks = [
        Lock(cell_lock(study, source.cell, TRAINING), shared=True)
        for source in request.sources
        if source.cell is not None
    ]
    locks += [Lock(cell_lock(study, cell, TRAINING)) for cell in request.cells()]
    if request.out is not None:
        locks.append(Lock(here / "merged" / f"{digest(str(request.out.resolve()))[:16]}.lock"))
    if request.group is not None:
        locks.append(Lock(here / "merging" / f"{request.group.id}.lock"))
    return locks


def notes_on_unlisted(study: Study, request: MergeRequest) -> list[str]:
    """Say of each merged cell that the study does not list what becomes of it."""
    listed = set(merged_cells(study))
    return [
        f"{cell.id}: the study's key merging does not list it: tables leave it out, and `endoarss clean` takes it away."
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
        f"--method: missing; study {study.name!r} does not merge {' and '.join(source.name for source in sources)} itself. Its own:\n"
        f"  {known or '(none: it has no key merging)'}"
    )


def _check_out(study: Study, out: Path) -> None:
    """See that a folder of one's own holds no cell, and nothing but a merged model, and that it can be made."""
    if out == Path():
        raise InputError("--out: expected the name of a folder, not this one.")
    if out.resolve().is_relative_to((results_folder(study) / StudyOutput.CELLS).resolve()):
        raise InputError(
            f"--out {out}: lies among the study's cells, which go there by themselves. Name another folder."
        )
    about = out / CellOutput.PROVENANCE
    if (out / CellOutput.CHECKPOINT).exists() and (not about.is_file() or "merged_from" not in read_json(about)):
        raise InputError(f"--out {out}: holds a model that was not merged. Name another folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made ({error.strerror}). Name another folder.") from None


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
