"""Find prunable files: the project wrote them, and neither the study nor a study in use declares them any more.

The functions of `pipeline.results.paths` declare the files of a study. Files that the project did not write stay, and so do all files
behind a link.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.cleaning.studies_in_use import StudiesInUse, earlier_studies
from pipeline.errors import InputError
from pipeline.io.disk import bytes_below, entries_of
from pipeline.io.files import begun_for, read_json, writer_of
from pipeline.locking.locks import is_alive
from pipeline.results import paths
from pipeline.study.cell import is_variant
from pipeline.study.cells import merging_groups, models_of
from pipeline.study.datasets import leakage_datasets
from pipeline.study.folders import cell_folder, dataset_folder, results_folder
from pipeline.study.models import Study
from reports import names

_RESULT = "a result of the study"
_LINK = "a link: files behind it are not checked"
# The last file that is written to each kind of resumable folder.
_LAST_WRITTEN = (paths.DATASET_CARD, paths.CORRUPTED_DONE, paths.CellOutput.METRICS)
_WRITTEN_BY_TOOLS = (".gitignore", ".snakemake_timestamp")  # DVC and Snakemake write them next to outputs


@dataclass(frozen=True)
class PrunableFile:
    """A file or folder to delete, with the reason (`why`) and its size in bytes."""

    path: Path
    why: str
    bytes: int

    @property
    def shared(self) -> bool:
        """Whether it lies in data/, which studies share."""
        return self.path.parts[0] == paths.DATA.name


@dataclass
class PrunableFiles:
    """Files to delete; files that stay although the study does not declare them, with reasons; and notes for the user."""

    delete: list[PrunableFile] = field(default_factory=list)
    staying: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path, why: str) -> None:
        """Note that a file or folder is to be deleted, unless a folder above it is noted."""
        if not any(path.is_relative_to(file.path) for file in self.delete):
            is_folder = path.is_dir() and not path.is_symlink()
            with suppress(FileNotFoundError):  # deleted meanwhile
                count = sum(bytes_below(path)) if is_folder else path.lstat().st_size
                self.delete.append(PrunableFile(path, why, count))

    def keep(self, path: Path, why: str = "not known to this project") -> None:
        """Note that a file stays. The .gitignore files of DVC stay without a note."""
        if path.name != ".gitignore":
            self.staying.setdefault(path, why)


@dataclass(frozen=True)
class _Place:
    """A folder that the project writes to, and how its prunable items are recognised.

    Attributes:
        folder: the folder.
        declared: its items (files or folders) that are still needed.
        why: the reason for deleting other items.
        is_ours: returns whether the project wrote an item; with `inside`, whether it wrote a file in an item.
        depth: how many levels below the folder its items lie.
        inside: whether items are folders whose files are checked one by one.
    """

    folder: Path
    declared: Collection[Path]
    why: str
    is_ours: Callable[[Path], bool]
    depth: int = 1
    inside: bool = False


def find_prunable_files(
    study: Study, in_use: StudiesInUse, shared: bool = False, results: bool = False
) -> PrunableFiles:
    """Return the files that may be deleted.

    Args:
        study: the study whose results are checked.
        in_use: the studies whose data stays.
        shared: whether to include built datasets and generated raw trees that no study in use needs.
        results: whether to include all results of the study.
    """
    prunable = PrunableFiles()
    if results_folder(study).is_symlink():
        prunable.keep(results_folder(study), "a link: run the command in the folder that it leads to")
    elif results_folder(study).is_dir():
        places = {place.folder: place for place in _places_of_study(study, prunable.notes)}
        for path in _inside(results_folder(study), prunable):
            if path in places:
                _prune(places[path], prunable, everything=results)
            elif (
                path.name not in list(paths.StudyOutput) and not path.name.startswith(".") and not paths.is_record(path)
            ):
                prunable.keep(path)
            elif results and not path.name.startswith("."):
                prunable.add(path, _RESULT)
        _unfinished(results_folder(study), prunable)
    if paths.DATA.is_dir():
        if in_use.unreadable:
            unreadable = "While this study cannot be read, nothing that studies share is deleted."
            prunable.notes += [f"{problem} {unreadable}" for problem in in_use.unreadable]
        else:
            _shared(in_use.studies, prunable, shared)
        _unfinished(paths.DATA, prunable)
    return prunable


def _places_of_study(study: Study, notes: list[str]) -> list[_Place]:
    versions = [study, *earlier_studies(study, notes)]

    def wrote(prefix: str, files: Callable[[Study], list[Path]]) -> Callable[[Path], bool]:
        """Return a function that returns whether the project wrote a table or figure, for this study or an earlier version of it."""
        of_versions = {path.name for version in versions for path in files(version)}
        constants = {**vars(names), **vars(paths)}.items()
        known = {name for key, name in constants if key.startswith(prefix) and isinstance(name, str)}
        known |= {names.against_paper(name) for name in known}
        return lambda path: path.name in of_versions or (path.stem in known and path.suffix in paths.DRAWN)

    cells = [cell_folder(study, cell) for cell in models_of(study)]
    groups = [paths.representations_file(study, group).parent for group in merging_groups(study)]
    references = [paths.reference_folder(study, dataset) for dataset in paths.evaluated_datasets(study)]
    figures = [*paths.figure_files(study), *([paths.similarity_file(study)] if leakage_datasets(study) else [])]
    tables, study_files = paths.table_files(study), [paths.study_file(study)]
    is_figure, is_table = wrote("FIGURE_", paths.figure_files), wrote("TABLE_", paths.table_files)
    no_references = "references of a dataset that the study no longer has"
    not_merged = "results of models that the study no longer merges"
    no_cell, top, output = "a cell that the study no longer has", results_folder(study), paths.StudyOutput
    return [
        _Place(top / output.CELLS, cells, no_cell, lambda path: path.name in list(paths.CellOutput), 5, inside=True),
        _Place(
            top / output.MERGING,
            groups,
            not_merged,
            lambda path: path.name == paths.REPRESENTATIONS,
            3,
            inside=True,
        ),
        _Place(
            top / output.REFERENCES,
            references,
            no_references,
            lambda path: path.suffix == ".parquet",
            inside=True,
        ),
        _Place(top / output.FIGURES, figures, "a figure that the study no longer has", is_figure),
        _Place(top / output.TABLES, tables, "a table that the study no longer has", is_table),
        _Place(top / output.VERSIONS, study_files, "an earlier version of the study", paths.is_study_file),
    ]


def _prune(place: _Place, prunable: PrunableFiles, everything: bool = False) -> None:
    """Find prunable files at a place; with `everything`, include files that are still needed."""
    if everything and not place.inside:
        _folder(place.folder, place, _RESULT, prunable)
        return
    for path in _items(place, prunable):
        if not everything and (paths.dataset_of(path) or begun_for(path) or path) in place.declared:
            if (path / paths.CellOutput.PROVENANCE).is_file() and (path / paths.CellOutput.RESUME).is_dir():
                prunable.add(path / paths.CellOutput.RESUME, "states of a training that is done")
        elif place.inside:
            _folder(path, place, _RESULT if everything else place.why, prunable)
        elif place.is_ours(path):
            prunable.add(path, place.why)
        elif not paths.is_record(path) and not path.name.startswith("."):
            prunable.keep(path)


def _items(place: _Place, prunable: PrunableFiles) -> list[Path]:
    """Return the items of a place without unfinished files. Items more than one level deep must be folders of a cell's variant."""
    items = [place.folder]
    for depth in range(1, place.depth + 1):
        candidates = [path for folder in items for path in _inside(folder, prunable) if writer_of(path) is None]
        items = []
        for path in candidates:
            if place.depth == 1 or (path.is_dir() and (depth < place.depth or is_variant(path.name))):
                items.append(path)
            else:
                prunable.keep(path)
    return items


def _folder(path: Path, place: _Place, why: str, prunable: PrunableFiles) -> None:
    """Add a folder. If it also holds files that the project did not write, add only the project's files."""
    if not path.is_dir():
        prunable.keep(path)
        return
    entries = [Path(entry.path) for entry in entries_of(path)]
    ours = {
        entry for entry in entries if place.is_ours(entry) or paths.is_record(entry) or writer_of(entry) is not None
    }
    others = [entry for entry in entries if entry not in ours and entry.name not in _WRITTEN_BY_TOOLS]
    for to_delete in sorted(ours) if others else [path]:
        prunable.add(to_delete, why)
    for other in others:
        prunable.keep(other)


def _shared(studies: Sequence[Study], prunable: PrunableFiles, shared: bool) -> None:
    """Find corrupted images that no study in use needs; with `shared`, datasets and generated raw trees too."""
    pairs = [(study, dataset) for study in studies for dataset in study.datasets]
    corrupted = [paths.corrupted_folder(study, dataset) for study, dataset in pairs]
    why = "corrupted images made with settings that no study in use has"
    _prune(_Place(paths.DATA / "corrupted", corrupted, why, _is_corrupted), prunable)
    if not shared:
        return
    datasets = [dataset_folder(study, dataset) for study, dataset in pairs]
    _prune(_Place(paths.DATA / "datasets", datasets, "a dataset that no study in use needs", _is_dataset), prunable)
    trees = {root for study in studies for root in paths.generated_trees(study).values()}
    for folder in _inside(paths.DATA / "raw", prunable):
        for path in _inside(folder, prunable):
            if path not in trees and _is_generated(path):
                prunable.add(path, "a generated raw tree that no study in use needs")
                for name in (paths.DONE, paths.DECIDED_BY):
                    prunable.add(
                        path.with_name(f"{path.name}.{name}"), "describes a raw tree that no study in use needs"
                    )


def _is_corrupted(path: Path) -> bool:
    return begun_for(path) is not None or (path / paths.CORRUPTED_DONE).is_file()


def _is_dataset(path: Path) -> bool:
    return begun_for(path) is not None or (path / paths.DATASET_CARD).is_file() or paths.dataset_of(path) is not None


def _is_generated(path: Path) -> bool:
    """Return whether this project generated a raw tree. Other trees are never deleted."""
    try:
        return read_json(paths.generated_done_file(path)).get("synthetic") is True
    except (InputError, OSError, RecursionError):
        return False


def _unfinished(folder: Path, prunable: PrunableFiles) -> None:
    """Find files that stopped runs left below a folder."""
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() or path.name == ".locks" or any(path == file.path for file in prunable.delete):
            continue
        pid, target = writer_of(path), begun_for(path)
        if pid is not None:
            if is_alive(pid):
                prunable.keep(path, f"process {pid} may be writing it")
            else:
                prunable.add(path, "left by a run that was stopped")
        elif target is not None:
            if any((target / name).is_file() for name in _LAST_WRITTEN):
                prunable.add(path, f"an unfinished copy, although {target} is done")
            else:
                prunable.keep(path, "unfinished; the next run continues it")
        elif entry.is_dir():
            _unfinished(path, prunable)


def _inside(folder: Path, prunable: PrunableFiles) -> Iterator[Path]:
    """Yield the content of a folder, without links to folders. These stay, and so does the folder itself if it is a link."""
    if folder.is_symlink():
        prunable.keep(folder, _LINK)
        return
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() and path.is_dir():
            prunable.keep(path, _LINK)
        else:
            yield path
