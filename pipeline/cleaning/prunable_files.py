"""What of a study's results and of the shared data nobody needs any more, and why.

Only what this project writes is ever named: what is not known stays, and so does whatever lies behind a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.cleaning.studies_in_use import VERSION, KeptStudies, earlier_studies
from pipeline.errors import InputError
from pipeline.io.disk import bytes_below, entries_of
from pipeline.io.files import read_json
from pipeline.locking.locks import is_alive
from pipeline.results.paths import (
    corrupted_folder,
    evaluated_datasets,
    figure_files,
    generated_mark,
    generated_trees,
    representations_file,
    study_file,
    table_files,
)
from pipeline.study.cell import is_variant
from pipeline.study.study import Study
from reports import names as report_names

DATA = Path("data")
# What `whole_file`, `whole_folder` and saved states leave when their process is killed, and what a folder that can be resumed is called.
_UNFINISHED = re.compile(r"\..+\.(\d+)\.(partial|old)|epoch-\d+\.(\d+)\.partial")
_RESUMABLE = re.compile(r"\.(.+)\.partial")
_DONE_MARKS = ("dataset.json", "corruptions.json", "metrics.json")  # each is written last
_TOP = ("references", "figures", "tables", "report", "paper", "logs", "benchmarks", "studies", "predictors", "code")
_MERGING = "merging"
_TOP_FILES = ("results.parquet", "provenance.json", "similarity.json")
_BESIDE = re.compile(r"(.+)\.(doctor|provenance)\.json")  # what stands beside a dataset
_OF_CELL = frozenset(
    {"model.safetensors", "history.csv", "provenance.json", "metrics.json", "predictions", "eval", "robustness"}
    | {"failure.json", "robustness_failure.json", "tensorboard", ".training", ".robustness.lock", ".robustness.partial"}
)
_DRAWN = (".png", ".pdf", ".jpg", ".csv", ".tex")


@dataclass(frozen=True)
class Leftover:
    """A file or folder to delete. bytes: what it takes. shared: whether other studies could use it."""

    path: Path
    why: str
    bytes: int

    @property
    def shared(self) -> bool:
        """Whether it lies where studies share."""
        return self.path.parts[0] == DATA.name


@dataclass
class Leftovers:
    """What to delete, what stays although it is not known or not done, with the reason, and what has to be said."""

    delete: list[Leftover] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path, why: str) -> None:
        """Delete a file or folder, once."""
        if not any(path == one.path or path.is_relative_to(one.path) for one in self.delete):
            whole = path.is_dir() and not path.is_symlink()
            with suppress(FileNotFoundError):  # it went away meanwhile
                count = sum(bytes_below(path)) if whole else path.lstat().st_size
                self.delete.append(Leftover(path, why, count))

    def keep(self, path: Path, why: str = "not known to this project") -> None:
        """Say that something stays; not of what DVC writes beside each folder that it keeps."""
        if path.name != ".gitignore":
            self.kept.setdefault(path, why)


def find_leftovers(study: Study, kept: KeptStudies, shared: bool = False, results: bool = False) -> Leftovers:
    """Look for what may go.

    Args:
        study: whose results are looked at. kept: the studies whose data stays. shared: built datasets and generated raw trees that no
            kept study uses too. results: all results of the study.
    """
    found = Leftovers()
    if study.results.is_symlink():
        found.keep(study.results, "a link: clean where it leads to")
    elif study.results.is_dir():
        if results:
            _all_results(study, found)
        else:
            _stale_results(study, found)
        _unfinished(study.results, found)
    if DATA.is_dir():
        if kept.unreadable:
            unreadable = "While this study cannot be read, nothing that studies share is deleted."
            found.notes += [f"{problem} {unreadable}" for problem in kept.unreadable]
        else:
            _shared(kept.studies, found, shared)
        _unfinished(DATA, found)
    return found


def _stale_results(study: Study, found: Leftovers) -> None:
    for path in _inside(study.results, found):
        if path.name not in (*_TOP, *_TOP_FILES, _MERGING, "cells") and not path.name.startswith("."):
            found.keep(path)
    groups = {representations_file(study, group).parent for group in study.merging_groups()}
    for path, _ in _folders_below(study.results / _MERGING, 3, found):
        if path not in groups:
            _folder_of(
                path, lambda name: name == "representations.npz", "of models that the study no longer merges", found
            )
    wanted = {cell.id for cell in study.models()}
    for path, cell_id in _folders_below(study.results / "cells", 5, found):
        if cell_id not in wanted:
            _cell(path, "a cell that the study no longer has", found)
        elif (path / "provenance.json").is_file() and (path / ".training").is_dir():
            found.add(path / ".training", "states of a training that is done")
    references = set(evaluated_datasets(study))
    for path in _inside(study.results / "references", found):
        if path.name not in references:
            _folder_of(
                path,
                lambda name: name.endswith(".parquet"),
                "references of a dataset that the study no longer has",
                found,
            )
    earlier = earlier_studies(study, found.notes)
    for name, files, known in (
        ("figures", figure_files, _names_of("FIGURE_")),
        ("tables", table_files, _names_of("TABLE_")),
    ):
        current = {path.name for path in files(study)}
        once = {path.name for one in earlier for path in files(one)}
        for path in _inside(study.results / name, found):
            if path.name in current or _is_unfinished(path):
                continue
            if path.name in once or (path.stem.removesuffix("_published") in known and path.suffix in _DRAWN):
                found.add(path, f"of {name} that the study no longer has")
            else:
                found.keep(path)
    for path in _inside(study.results / "studies", found):
        if path.name == study_file(study).name or _is_unfinished(path):
            continue
        if VERSION.fullmatch(path.name):
            found.add(path, "an earlier version of the study")
        else:
            found.keep(path)


def _all_results(study: Study, found: Leftovers) -> None:
    why = "a result of the study"
    for path, _ in _folders_below(study.results / "cells", 5, found):
        _cell(path, why, found)
    for path in _inside(study.results, found):
        if path.name in (*_TOP, *_TOP_FILES, _MERGING):
            found.add(path, why)
        elif path.name != "cells" and not path.name.startswith("."):
            found.keep(path)


def _folders_below(root: Path, levels: int, found: Leftovers) -> list[tuple[Path, str]]:
    """The folders of models, or of what is merged together, wanted or not, with their ids."""
    level = [root] if root.is_dir() and not root.is_symlink() else []
    for depth in range(levels):
        inner = [path for folder in level for path in _inside(folder, found)]
        level = []
        for path in inner:
            if path.is_dir() and (depth < levels - 1 or is_variant(path.name)):
                level.append(path)
            elif not _is_unfinished(path):
                found.keep(path)
    return [(path, path.relative_to(root).as_posix()) for path in level]


def _cell(path: Path, why: str, found: Leftovers) -> None:
    _folder_of(path, lambda name: name in _OF_CELL, why, found)


def _folder_of(path: Path, is_known: Callable[[str], bool], why: str, found: Leftovers) -> None:
    """Delete a folder, or what is known of it where it holds anything else."""
    if not path.is_dir():
        found.keep(path)
        return
    entries = [Path(entry.path) for entry in entries_of(path)]
    known = [p for p in entries if is_known(p.name) or p.name == ".snakemake_timestamp" or _is_unfinished(p)]
    if len(known) == len(entries):
        found.add(path, why)
        return
    for entry in entries:
        if entry in known:
            found.add(entry, why)
        else:
            found.keep(entry)


def _shared(studies: Sequence[Study], found: Leftovers, shared: bool) -> None:
    pairs = [(one, dataset) for one in studies for dataset in one.datasets]
    corrupted = {corrupted_folder(one, dataset).name for one, dataset in pairs}
    datasets = {one.dataset_folder(dataset).name for one, dataset in pairs}
    trees = {root for one in studies for root in generated_trees(one).values()}
    for path in _inside(DATA / "corrupted", found):
        name, mark = _name_and_mark(path, "corruptions.json")
        if name not in corrupted:
            if mark:
                found.add(path, "corrupted images of settings that no kept study has")
            elif not _is_unfinished(path) and not path.name.startswith("."):
                found.keep(path)
    if not shared:
        return
    for path in _inside(DATA / "datasets", found):
        name, mark = _name_and_mark(path, "dataset.json")
        if name not in datasets:
            if mark or _BESIDE.fullmatch(path.name):
                found.add(path, "a dataset that no kept study uses")
            elif not _is_unfinished(path) and not path.name.startswith("."):
                found.keep(path)
    for folder in _inside(DATA / "raw", found):
        for path in _inside(folder, found):
            if path not in trees and _is_generated(path):
                found.add(path, "a generated raw tree that no kept study uses")


def _name_and_mark(path: Path, mark: str) -> tuple[str, bool]:
    """The name of what lies in a folder, done or begun, and whether it is one of the project's."""
    begun = _RESUMABLE.fullmatch(path.name)
    if begun and not _UNFINISHED.fullmatch(path.name):
        return begun[1], (path / ".key").is_file()
    beside = _BESIDE.fullmatch(path.name)
    return beside[1] if beside else path.name, path.is_dir() and (path / mark).is_file()


def _is_generated(path: Path) -> bool:
    """Whether a raw tree is one that this project generated; a real one is never touched."""
    try:
        return read_json(generated_mark(path)).get("synthetic") is True
    except (InputError, OSError, RecursionError):
        return False


def _unfinished(folder: Path, found: Leftovers) -> None:
    """What stopped runs left below a folder."""
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() or path.name == ".locks" or any(path == one.path for one in found.delete):
            continue
        match, begun = _UNFINISHED.fullmatch(path.name), _RESUMABLE.fullmatch(path.name)
        if match:
            pid = int(match[1] or match[3])
            if is_alive(pid):
                found.keep(path, f"process {pid} may be writing it")
            else:
                found.add(path, "left by a run that was stopped")
        elif begun and entry.is_dir() and (path / ".key").is_file():
            if any((path.with_name(begun[1]) / mark).is_file() for mark in _DONE_MARKS):
                found.add(path, f"begun anew, though {path.with_name(begun[1])} is done")
            else:
                found.keep(path, "begun; the next run goes on from it")
        elif entry.is_dir():
            _unfinished(path, found)


def _is_unfinished(path: Path) -> bool:
    return bool(_UNFINISHED.fullmatch(path.name))


def _inside(folder: Path, found: Leftovers) -> Iterator[Path]:
    """What lies in a folder; a folder that is a link is not looked into, and links to folders stay."""
    if folder.is_symlink():
        found.keep(folder, "a link: what lies behind it is not looked at")
        return
    for entry in entries_of(folder):
        path = Path(entry.path)
        if entry.is_symlink() and path.is_dir():
            found.keep(path, "a link: what lies behind it is not looked at")
        else:
            yield path


def _names_of(prefix: str) -> set[str]:
    """The names of figures or tables that do not depend on datasets."""
    return {value for name, value in vars(report_names).items() if name.startswith(prefix) and isinstance(value, str)}
