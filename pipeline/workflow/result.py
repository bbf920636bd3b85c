"""Define a result: files that one step makes together, with a done.json that records what decided them."""

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

OTHER_DECISIONS = "made with other settings, code or packages"
"""The reason why a result is stale after its settings, code or packages changed."""
_DONE_KEYS = ("decided_by", "made", "upstream", "files", "folders")


@dataclass(frozen=True, eq=False)
class Result:
    """The files that a step makes together.

    Attributes:
        step: name of the rule, e.g. "train_cell".
        name: name among the results of the rule, e.g. the id of the cell; empty if the rule has one result per study.
        done: done.json, or <name>.done.json. It is the one output that Snakemake knows of.
        settings_and_code: returns the settings (JSON-like, resolved) and the files of code that decide the result. It is called only
            for results that are made or planned, not for their inputs.
        upstream: the results that it is made from.
        files: its files; done.json records a digest per file.
        folders: its folders of many files; done.json records a digest per folder.
        side_files: further files that must exist, such as provenance (when and by whom the result was made). No digest is recorded.
    """

    step: str
    name: str
    done: Path
    settings_and_code: Callable[[], tuple[Mapping[str, Any], tuple[str, ...]]]
    upstream: tuple[Result, ...]
    files: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    side_files: tuple[Path, ...] = ()

    @property
    def decided_by_file(self) -> Path:
        """decided_by.json, next to done.json: all that decided the result, for people to read."""
        return self.done.with_name(self.done.name.replace(DONE, DECIDED_BY))

    @cached_property
    def decided_by(self) -> str:
        """The digest of settings, code and versions of packages. Upstream results are compared separately."""
        return digest(self._decisions)

    @cached_property
    def _settings_and_code(self) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        return self.settings_and_code()

    @cached_property
    def _decisions(self) -> dict[str, Any]:
        return decisions(*self._settings_and_code)

    @cached_property
    def level(self) -> int:
        """Number of results in the longest chain that ends with this one."""
        return 1 + max((result.level for result in self.upstream), default=0)

    def record(self) -> dict[str, Any] | None:
        """Return the content of done.json, or None if it is missing or not valid."""
        return _record(self.done)

    def earlier_record(self) -> dict[str, Any] | None:
        """Return the content of decided_by.json. Snakemake deletes done.json before a job, but not this file."""
        return _record(self.decided_by_file)

    def why_stale(self, record: Mapping[str, Any] | None, digest_of: Mapping[Path, str]) -> str:
        """Return why the result is stale, or an empty string if it is current.

        Args:
            record: content of done.json.
            digest_of: the digest `made` of each existing upstream result, by its done.json.
        """
        if record is None:
            return "not made yet"
        if record["decided_by"] != self.decided_by:
            return OTHER_DECISIONS
        then, now = record["upstream"], {str(result.done): digest_of.get(result.done) for result in self.upstream}
        for path in sorted({*then, *now}):
            if path not in now or path not in then or now[path] not in (None, then[path]):
                return f"made from another {Path(path).parent.name if Path(path).name == DONE else Path(path).stem}"
        missing = [path for path in self._paths() if not path.exists()]
        if missing:
            return f"{missing[0].name} is missing"
        return ""

    def differences(self, record: Mapping[str, Any]) -> list[str]:
        """Return what changed since the result was made, e.g. "settings schedule.epochs" or "code endoarss/lora.py".

        Args:
            record: content of decided_by.json.
        """
        settings, code = self._settings_and_code
        now = {
            "settings": masked_content(settings),
            "code": code_digests(code),
            "packages": self._decisions["packages"],
        }
        return [
            f"{kind} {key}"
            for kind, content in now.items()
            for key in differing_keys(json.loads(json.dumps(content)), record.get(kind), deep=kind == "settings")
        ]

    def changed_files(
        self, record: Mapping[str, Any], digests: KnownDigests, read: bool, folders: bool = True
    ) -> list[Path]:
        """Return the files and folders that changed since they were made.

        Args:
            record: content of done.json.
            digests: remembered digests.
            read: whether to read files that were never read on this machine. If not, only their sizes are compared.
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

    def new_record(self, digest_of: Mapping[Path, str]) -> dict[str, Any]:
        """Return the record of a result that is not made yet, which lists no files. digest_of: as for `why_stale`."""
        recorded = {str(result.done): digest_of[result.done] for result in self.upstream if result.done in digest_of}
        return {
            "decided_by": self.decided_by,
            "upstream": recorded,
            **self._decisions,
            "code": code_digests(self._settings_and_code[1]),
        }

    def delete_record(self, with_files: bool) -> None:
        """Delete done.json before the result is made again. with_files: whether to delete decided_by.json and the files too."""
        for path in (self.done, *((self.decided_by_file, *self.files, *self.side_files) if with_files else ())):
            path.unlink(missing_ok=True)

    def finish(self, new_record: dict[str, Any], digests: KnownDigests) -> str:
        """Complete the record that `new_record` returned, and write done.json and decided_by.json. Return `made`, a digest of all files.

        Raises:
            InputError: if a file is missing that the step should have made.
        """
        missing = [path for path in self._paths() if not path.exists()]
        if missing:
            raise InputError(f"{self.step}: {missing[0]} is missing, although the step ended.")
        files = {str(path): [digests.of_file(path), path.stat().st_size] for path in self.files}
        folders = {str(folder): digests.of_folder(folder) for folder in self.folders}
        made = digest([sorted(sha256 for sha256, _ in files.values()), sorted(folders.values())])
        record = {**new_record, "made": made, "files": files, "folders": folders}
        write_json(self.decided_by_file, {**record, "settings": masked_content(new_record["settings"])})
        write_json(self.done, {key: record[key] for key in _DONE_KEYS})
        digests.save()
        return made

    def is_complete(self) -> bool:
        """Return whether all files of the result exist."""
        return all(path.exists() for path in self._paths())

    def restore_done(self) -> None:
        """Write done.json again from decided_by.json, because the result is still current."""
        record = self.earlier_record()
        assert record is not None
        write_json(self.done, {key: record[key] for key in _DONE_KEYS})

    def _paths(self) -> Iterator[Path]:
        yield from (*self.files, *self.folders, *self.side_files)


def upstream_digests(results: Sequence[Result]) -> dict[Path, str]:
    """Return the digest `made` of each existing upstream result of the given results, by its done.json."""
    digest_of: dict[Path, str] = {}
    for upstream in {upstream.done: upstream for result in results for upstream in result.upstream}.values():
        record = upstream.record()
        if record is not None:
            digest_of[upstream.done] = record["made"]
    return digest_of


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = read_json(path)
    except (InputError, OSError, RecursionError):
        return None
    kinds = {"decided_by": str, "made": str, "upstream": dict, "files": dict, "folders": dict}
    return record if all(isinstance(record.get(key), kind) for key, kind in kinds.items()) else None
