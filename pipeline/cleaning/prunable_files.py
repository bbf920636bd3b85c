"""Find prunable files: files that the project wrote, and that neither the study nor a study in use declares.

`pipeline.results.paths` declares files. Files that are unknown to this project stay, and so does everything behind a link.
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
_LINK = "a link: what lies behind it is not looked at"
# The last file that is written to each folder that a stopped run continues to fill.
_LAST_WRITTEN = (paths.DATASET_CARD, paths.CORRUPTED_DONE, paths.CellOutput.METRICS)
_WRITTEN_BY_TOOLS = (".gitignore", ".snakemake_timestamp")  # DVC and Snakemake write them next to outputs


@dataclass(frozen=True)
class PrunableFile:
    """A file or folder to delete. bytes: its size. shared: whether other studies could use it."""

    path: Path
    why: str
    bytes: int

    @property
    def shared(self) -> bool:
        """Whether it lies in a folder that studies share."""
        return self.path.parts[0] == paths.DATA.name


@dataclass
class PrunableFiles:
    """Files to delete, files that stay although they are unknown or unfinished, with reasons, and notes."""

    delete: list[PrunableFile] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path, why: str) -> None:
        """Delete a file or folder, once."""
        if not any(path.is_relative_to(one.path) for one in self.delete):
            whole = path.is_dir() and not path.is_symlink()
            with suppress(FileNotFoundError):  # deleted meanwhile
                count = sum(bytes_below(path)) if whole else path.lstat().st_size
                self.delete.append(PrunableFile(path, why, count))

    def keep(self, path: Path, why: str = "not known to this project") -> None:
        """Note that a file stays, except files that DVC writes next to its folders."""
        if path.name != ".gitignore":
            self.kept.setdefault(path, why)


@dataclass(frozen=True)
class _Place:
    """A folder that the project writes to.

    Attributes:
        folder: the folder.
        declared: its items that are still needed.
        why: the reason for deleting the others.
        is_ours: whether the project wrote an item, or with `inside` a file in an item.
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
        shared: whether to include built datasets and generated raw trees that no study in use has.
        results: whether to include all results of the study.
    """
    found = PrunableFiles()
    if results_folder(study).is_symlink():
        found.keep(results_folder(study), "a link: clean where it leads to")
    elif results_folder(study).is_dir():
        places = {place.folder: place for place in _places_of_study(study, found.notes)}
        for path in _inside(results_folder(study), found):
            if path in places:
                _prune(places[path], found, everything=results)
            elif (
                path.name not in list(paths.StudyOutput) and not path.name.startswith(".") and not paths.is_record(path)
            ):
                found.keep(path)
            elif results and not path.name.startswith("."):
                found.add(path, _RESULT)
        _unfinished(results_folder(study), found)
    if paths.DATA.is_dir():
        if in_use.unreadable:
            unreadable = "While this study cannot be read, nothing that studies share is deleted."
            found.notes += [f"{problem} {unreadable}" for problem in in_use.unreadable]
        else:
            _shared(in_use.studies, found, shared)
        _unfinished(paths.DATA, found)
    return found


def _places_of_study(study: Study, notes: list[str]) -> list[_Place]:
    versions = [study, *earlier_studies(study, notes)]

    def drawn(prefix: str, files: Callable[[Study], list[Path]]) -> Callable[[Path], bool]:
        of_versions = {path.name for one in versions for path in files(one)}
        constants = {**vars(names), **vars(paths)}.items()
        known = {name for key, name in constants if key.startswith(prefix) and isinstance(name, str)}
        known |= {names.against_paper(name) for name in known}
        return lambda path: path.name in of_versions or (path.stem in known and path.suffix in paths.DRAWN)

    cells = [cell_folder(study, cell) for cell in models_of(study)]
    groups = [paths.representations_file(study, group).parent for group in merging_groups(study)]
    references = [paths.reference_folder(study, dataset) for dataset in paths.evaluated_datasets(study)]
    figures = [*paths.figure_files(study), *([paths.similarity_file(study)] if leakage_datasets(study) else [])]
    tables, version = paths.table_files(study), [paths.study_file(study)]
    is_figure, is_table = drawn("FIGURE_", paths.figure_files), drawn("TABLE_", paths.table_files)
    no_references = "references of a dataset that the study no longer has"
    not_merged = "of models that the study no longer merges"
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
        _Place(top / output.FIGURES, figures, "of figures that the study no longer has", is_figure),
        _Place(top / output.TABLES, tables, "of tables that the study no longer has", is_table),
        _Place(top / output.VERSIONS, version, "an earlier version of the study", paths.is_study_file),
    ]


def _prune(place: _Place, found: PrunableFiles, everything: bool = False) -> None:
    """Find files that the project wrote at a place and that are not declared any more; everything: declared ones too."""
    if everything and not place.inside:
        _folder(place.folder, place, _RESULT, found)
        return
    for path in _items(place, found):
        if not everything and (paths.dataset_of(path) or begun_for(path) or path) in place.declared:
            if (path / paths.CellOutput.PROVENANCE).is_file() and (path / paths.CellOutput.RESUME).is_dir():
                found.add(path / paths.CellOutput.RESUME, "states of a training that is done")
        elif place.inside:
            _folder(path, place, _RESULT if everything else place.why, found)
        elif place.is_ours(path):
            found.add(path, place.why)
        elif not paths.is_record(path) and not path.name.startswith("."):
            found.keep(path)


def _items(place: _Place, found: PrunableFiles) -> list[Path]:
    """Return the items of a place without unfinished ones; for models and merging groups, their folders."""
    level = [place.folder]
    for depth in range(1, place.depth + 1):
        inner = [path for folder in level for path in _inside(folder, found) if writer_of(path) is None]
        level = []
        for path in inner:
            if place.depth == 1 or (path.is_dir() and (depth < place.depth or is_variant(path.name))):
                level.append(path)
            else:
                found.keep(path)
    return level


def _folder(path: Path, place: _Place, why: str, found: PrunableFiles) -> None:
    """Add a folder, or only the files that the project wrote in it if it holds others."""
    if not path.is_dir():
        found.keep(path)
        return
    entries = [Path(entry.path) for entry in entries_of(path)]
    ours = {
        entry for entry in entries if place.is_ours(entry) or paths.is_record(entry) or writer_of(entry) is not None
    }
    others = [entry for entry in entries if entry not in ours and entry.name not in _WRITTEN_BY_TOOLS]
    for gone in sorted(ours) if others else [path]:
        found.add(gone, why)
    for other in others:
        found.keep(other)


def _shared(studies: Sequence[Study], found: PrunableFiles, shared: bool) -> None:
    """Find shared files that no study in use declares; with `shared`, datasets and generated raw trees too."""
    pairs = [(one, dataset) for one in studies for dataset in one.datasets]

    corrupted = [paths.corrupted_folder(one, dataset) for one, dataset in pairs]
    why = "corrupted images of settings that no study in use has"
    _prune(_Place(paths.DATA / "corrupted", corrupted, why, _is_corrupted), found)
    if not shared:
        return
    datasets = [dataset_folder(one, dataset) for one, dataset in pairs]
    _prune(_Place(paths.DATA / "datasets", datasets, "a dataset that no study in use needs", _is_dataset), found)
    trees = {root for one in studies for root in paths.generated_trees(one).values()}
    for folder in _inside(paths.DATA / "raw", found):
        for path in _inside(folder, found):
            if path not in trees and _is_generated(path):
                found.add(path, "a generated raw tree that no study in use needs")
                for name in (paths.DONE, paths.DECIDED_BY):
                    found.add(path.with_name(f"{path.name}.{name}"), "describes a raw tree that no study in use needs")


def _is_corrupted(path: Path) -> bool:
    return begun_for(path) is not None or (path / paths.CORRUPTED_DONE).is_file()


def _is_dataset(path: Path) -> bool:
    return begun_for(path) is not None or (path / paths.DATASET_CARD).is_file() or paths.dataset_of(path) is not None


def _is_generated(path: Path) -> bool:
    """Return whether this project generated a raw tree; real trees are never touched."""
    try:
        return read_json(paths.generated_done_file(path)).get("synthetic") is True
    except (InputError, OSError, RecursionError):
        return False


def _unfinished(folder: Path, found: PrunableFiles) -> None:
    """Find files that stopped runs left below a folder."""
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() or path.name == ".locks" or any(path == one.path for one in found.delete):
            continue
        pid, target = writer_of(path), begun_for(path)
        if pid is not None:
            if is_alive(pid):
                found.keep(path, f"process {pid} may be writing it")
            else:
                found.add(path, "left by a run that was stopped")
        elif target is not None:
            if any((target / name).is_file() for name in _LAST_WRITTEN):
                found.add(path, f"begun again, although {target} is done")
            else:
                found.keep(path, "begun; the next run goes on from it")
        elif entry.is_dir():
            _unfinished(path, found)


def _inside(folder: Path, found: PrunableFiles) -> Iterator[Path]:
    """Return the content of a folder; linked folders are not entered, and links to folders stay."""
    if folder.is_symlink():
        found.keep(folder, _LINK)
        return
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() and path.is_dir():
            found.keep(path, _LINK)
        else:
            yield path
