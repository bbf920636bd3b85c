"""What `endoarss merge` is asked: which checkpoints, by which mergers, and where the result goes. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from endoarss.registry import MERGERS
from pipeline.errors import InputError
from pipeline.study import MERGED, Cell, MergingGroup, Study

STUDYS_RANK = -1
"""What --surgery without a rank stands for."""


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
        if self.out is not None or first is None:
            return None
        alike = [
            replace(cell, architecture=MERGED, weighting=merger, surgery=rank, on_test=self.on_test)
            for cell in cells
            if cell is not None
        ]
        return alike[0] if len(alike) == len(cells) and len(set(alike)) == 1 else None

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
    on_test = study.merging_settings()["unlabelled"] == "test"
    if not arguments.method:
        given = [key for key in ("surgery", "out") if getattr(arguments, key) is not None]
        if given:
            raise InputError(f"--{given[0]}: goes with --method alone, which says how to merge.")
        return MergeRequest(sources, *_of_group(study, sources), None, on_test)
    if arguments.out is not None and len(arguments.method) > 1:
        raise InputError(f"--out: a folder is for one model; --method was given {len(arguments.method)} times.")
    for method in arguments.method:
        MERGERS.check(method)
    rank = arguments.surgery or 0
    if rank == STUDYS_RANK:
        rank = study.merging_settings()["surgery"]["rank"]
    if rank < 0 or arguments.surgery == 0:
        raise InputError(f"--surgery {arguments.surgery}: expected a rank of at least 1, or none.")
    wanted = tuple((method, rank) for method in dict.fromkeys(arguments.method))
    return MergeRequest(sources, wanted, None, arguments.out, on_test)


def _of_group(study: Study, sources: Sequence[Source]) -> tuple[tuple[tuple[str, int], ...], MergingGroup]:
    cells = {source.cell for source in sources}
    for group in study.merging_groups():
        if cells == set(group.singles):
            return tuple((cell.merger, cell.surgery) for cell in group.merged), group
    known = "\n  ".join(" ".join(cell.id for cell in group.singles) for group in study.merging_groups())
    raise InputError(
        f"--method: missing; study {study.name!r} does not merge {' and '.join(source.name for source in sources)} itself. Its own:\n"
        f"  {known or '(none: it has no key merging)'}"
    )


def _source(study: Study, name: str) -> Source:
    for cell in study.trainings():
        path = study.cell_folder(cell) / "model.safetensors"
        if name == cell.id:
            return Source(name, path, cell)
        if Path(name) in (path, path.parent) or (
            path.is_file() and Path(name).resolve() in (path.resolve(), path.parent.resolve())
        ):
            return Source(cell.id, path, cell)
    path = Path(name) / "model.safetensors" if Path(name).is_dir() else Path(name)
    if path.is_file():
        return Source(str(path), path, None)
    known = "\n  ".join(cell.id for cell in study.trainings() if cell.architecture.startswith("single_"))
    raise InputError(
        f"{name!r} is neither a checkpoint nor a cell of study {study.name!r}; its single-task cells are\n  {known or '(none)'}"
    )
