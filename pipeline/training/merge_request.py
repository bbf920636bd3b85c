"""What `endoarss merge` is asked: which checkpoints, by which mergers, and where the result goes. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from endoarss.registry import MERGERS
from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.results.paths import CellOutput, StudyOutput
from pipeline.study.cell import MERGED, SINGLE_TASKS, Cell, MergingGroup
from pipeline.study.cells import merging_groups, merging_of, models_of, trainings_of
from pipeline.study.folders import cell_folder, results_folder
from pipeline.study.models import Study

STUDYS_RANK = -1
"""What --surgery without a rank gives; nobody can type it."""


def rank_of_surgery(text: str) -> int:
    """A rank as it is typed.

    Raises:
        argparse.ArgumentTypeError: unless it is a whole number of at least 1.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a rank of at least 1, or none for the study's; models come first"
        )
    return int(text)


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


def read_request(study: Study, arguments: argparse.Namespace) -> MergeRequest:
    """Understand the arguments.

    Raises:
        InputError: if a model is neither a cell of the study nor a checkpoint, a merger is unknown, or arguments do not go together.
    """
    sources = tuple(_source(study, name) for name in arguments.models)
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: named {names.count(name)} times; expected a model of each task.")
    on_test = merging_of(study).unlabelled == "test"
    if not arguments.method:
        given = [key for key in ("surgery", "out") if getattr(arguments, key) is not None]
        if given:
            raise InputError(f"--{given[0]}: goes with --method alone, which says how to merge.")
        return MergeRequest(sources, *_of_group(study, sources), None, on_test)
    if arguments.out is not None and len(arguments.method) > 1:
        raise InputError(f"--out: a folder is for one model; --method was given {len(arguments.method)} times.")
    for method in arguments.method:
        MERGERS.check(method)
    if arguments.out is not None:
        _check_out(study, arguments.out)
    rank = arguments.surgery or 0
    if rank == STUDYS_RANK:
        rank = merging_of(study).surgery.rank
    wanted = tuple((method, rank) for method in dict.fromkeys(arguments.method))
    return MergeRequest(sources, wanted, None, arguments.out, on_test)


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


def check_made(study: Study, cell: Cell) -> None:
    """See that a merged model is there.

    Raises:
        InputError: with the command that makes it.
    """
    if not cell.merger or (cell_folder(study, cell) / CellOutput.CHECKPOINT).is_file():
        return
    singles = [
        one.id
        for one in trainings_of(study)
        if replace(one, architecture=MERGED, weighting=cell.merger, surgery=cell.surgery, on_test=cell.on_test) == cell
        and one.architecture in SINGLE_TASKS
    ]
    surgery = f" --surgery {cell.surgery}" if cell.surgery else ""
    raise InputError(
        f"{cell.id}: not merged yet. Run: endoarss merge {' '.join(singles)} --method {cell.merger}{surgery}"
    )
