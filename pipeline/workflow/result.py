"""A result: the files that a step makes together, all that decides them, and the done.json next to them that records it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.files import read_json, write_json
from pipeline.io.hashing import digest
from pipeline.io.known_digests import KnownDigests, sizes_of
from pipeline.redaction import masked_content
from pipeline.results.paths import DECIDED_BY, DONE
from pipeline.workflow.decisions import code_digests, decisions, differing_keys

OTHERWISE = "made otherwise"
"""The reason why a result is stale if its settings, code or packages changed."""
_RECORD = ("decided_by", "made", "upstream", "files", "folders")


@dataclass(frozen=True, eq=False)
class Result:
    """The files that a step makes together.

    Attributes:
        step: name of the rule, e.g. "train_cell".
        name: name among the results of the rule, e.g. the id of the cell; empty if there is one per study.
        done: done.json, or <name>.done.json. It is the one output that Snakemake knows of.
        decides: returns the settings (JSON-like, resolved) and the files of code that decide the result. It is called only for results
            that are made or planned, not for their inputs.
        upstream: the results that it is made from.
        files: its files; their digests are recorded.
        folders: its folders of many files; one digest is recorded per folder.
        beside: further files that must exist, with provenance: when and by whom the result was made.
    """

    step: str
    name: str
    done: Path
    decides: Callable[[], tuple[Mapping[str, Any], tuple[str, ...]]]
    upstream: tuple[Result, ...]
    files: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()

    @property
    def decided(self) -> Path:
        """decided_by.json, next to done.json: all that decided the result, for people to read."""
        return self.done.with_name(self.done.name.replace(DONE, DECIDED_BY))

    @cached_property
    def decided_by(self) -> str:
        """The digest of settings, code and versions of packages. Upstream results are compared separately."""
        return digest(self._about)

    @cached_property
    def _decided(self) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        return self.decides()

    @cached_property
    def _about(self) -> dict[str, Any]:
        return decisions(*self._decided)

    @cached_property
    def level(self) -> int:
        """Length of the longest chain of upstream results."""
        return 1 + max((one.level for one in self.upstream), default=0)

    def record(self) -> dict[str, Any] | None:
        """Return the content of done.json, or None if it is missing or not valid."""
        return _record(self.done)

    def earlier_record(self) -> dict[str, Any] | None:
        """Return the content of decided_by.json. Snakemake deletes done.json before a job, but not this file."""
        return _record(self.decided)

    def why_stale(self, record: Mapping[str, Any] | None, upstream: Mapping[Path, str]) -> str:
        """Return why the result is stale, or an empty string if it is current.

        Args:
            record: content of done.json.
            upstream: `made` of each existing upstream result, by its done.json.
        """
        if record is None:
            return "not made yet"
        if record["decided_by"] != self.decided_by:
            return OTHERWISE
        made_from, wanted = record["upstream"], {str(one.done): upstream.get(one.done) for one in self.upstream}
        for path in sorted({*made_from, *wanted}):
            if path not in wanted or path not in made_from or wanted[path] not in (None, made_from[path]):
                return f"made from another {Path(path).parent.name if Path(path).name == DONE else Path(path).stem}"
        lost = [path for path in self._paths() if not path.exists()]
        if lost:
            return f"{lost[0].name} is missing"
        return ""

    def differences(self, record: Mapping[str, Any]) -> list[str]:
        """Return what changed since the result was made, e.g. "settings schedule.epochs" or "code endoarss/lora.py".

        Args:
            record: content of decided_by.json.
        """
        settings, code = self._decided
        now = {"settings": masked_content(settings), "code": code_digests(code), "packages": self._about["packages"]}
        return [
            f"{kind} {key}"
            for kind, one in now.items()
            for key in differing_keys(json.loads(json.dumps(one)), record.get(kind), deep=kind == "settings")
        ]

    def changed_files(
        self, record: Mapping[str, Any], digests: KnownDigests, read: bool, folders: bool = True
    ) -> list[Path]:
        """Return the files and folders that changed since they were made.

        Args:
            record: content of done.json.
            digests: remembered digests.
            read: whether to read files that were never read on this machine; if not, only their sizes are compared.
            folders: whether to compare folders.
        """
        changed = []
        try:
            for path, size in zip(self.files, sizes_of(self.files), strict=True):
                sha256, recorded = record["files"].get(str(path), ("", None))
                if size != recorded or ((read or digests.remembers(path)) and digests.of_file(path) != sha256):
                    changed.append(path)
            for folder in self.folders if folders else ():
                if read or digests.remembers_below(folder):
                    changed += [folder] * (digests.of_folder(folder) != record["folders"].get(str(folder)))
        except OSError as error:
            changed.append(Path(error.filename or self.done))
        return changed

    def begin(self, upstream: Mapping[Path, str]) -> dict[str, Any]:
        """Return the record of a result that is about to be made: all that decides it now."""
        recorded = {str(one.done): upstream[one.done] for one in self.upstream if one.done in upstream}
        return {
            "decided_by": self.decided_by,
            "upstream": recorded,
            **self._about,
            "code": code_digests(self._decided[1]),
        }

    def forget(self, content: bool) -> None:
        """Delete done.json because the result is made again; with `content` the result itself too, as Snakemake deletes outputs."""
        for path in (self.done, *((self.decided, *self.files, *self.beside) if content else ())):
            path.unlink(missing_ok=True)

    def finish(self, begun: dict[str, Any], digests: KnownDigests) -> str:
        """Write done.json and decided_by.json of a result that was made. Return `made`, the digest of its files.

        Raises:
            InputError: if a file is missing that the step should have made.
        """
        lost = [path for path in self._paths() if not path.exists()]
        if lost:
            raise InputError(f"{self.step}: {lost[0]} is missing, although the step ended.")
        files = {str(path): [digests.of_file(path), path.stat().st_size] for path in self.files}
        folders = {str(folder): digests.of_folder(folder) for folder in self.folders}
        made = digest([sorted(one[0] for one in files.values()), sorted(folders.values())])
        record = {**begun, "made": made, "files": files, "folders": folders}
        write_json(self.decided, {**record, "settings": masked_content(begun["settings"])})
        write_json(self.done, {key: record[key] for key in _RECORD})
        digests.save()
        return made

    def is_there(self) -> bool:
        """Return whether all files of the result exist."""
        return all(path.exists() for path in self._paths())

    def restore_done(self) -> None:
        """Write done.json again from decided_by.json, if the result turned out to be current."""
        record = self.earlier_record()
        assert record is not None
        write_json(self.done, {key: record[key] for key in _RECORD})

    def _paths(self) -> Iterator[Path]:
        yield from (*self.files, *self.folders, *self.beside)


def made_upstream(results: Sequence[Result]) -> dict[Path, str]:
    """Return `made` of each existing upstream result of the given results, by its done.json."""
    found: dict[Path, str] = {}
    for one in {one.done: one for result in results for one in result.upstream}.values():
        record = one.record()
        if record is not None:
            found[one.done] = record["made"]
    return found


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = read_json(path)
    except (InputError, OSError, RecursionError):
        return None
    kinds = {"decided_by": str, "made": str, "upstream": dict, "files": dict, "folders": dict}
    return record if all(isinstance(record.get(key), kind) for key, kind in kinds.items()) else None
