"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.io.files import (
    resumable_folder,
    whole_file,
    whole_files,
    whole_folder,
    write_if_changed,
    write_json,
    write_text,
)
from pipeline.io.hashing import digest


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert not path.exists() and list(path.parent.iterdir()) == []
    with whole_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_folder_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for content in ("old", "new"):
        with whole_folder(folder) as partial:
            (partial / content).write_text(content)
    with pytest.raises(RuntimeError), whole_folder(folder) as partial:
        (partial / "broken").write_text("")
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_unchanged_content_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_if_changed(path, "a")
    before = path.stat().st_mtime_ns
    write_if_changed(path, "a")
    assert path.stat().st_mtime_ns == before
    write_if_changed(path, "b")
    assert path.read_text() == "b"


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    one, two = {"a": 1, "b": [2, 3]}, {"b": [2, 3], "a": 1}
    assert digest(one) == digest(two)
    write_json(tmp_path / "1", one)
    write_json(tmp_path / "2", two)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_files_of_one_step_replace_those_of_an_earlier_one_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "deep" / "b.txt"
    for path in (first, second):
        write_text(path, "old")
    with pytest.raises(ValueError, match="unchecked"), whole_files() as beside:
        beside(first).write_text("new")
        beside(second).write_text("new")
        raise ValueError("unchecked")
    assert first.read_text() == second.read_text() == "old"
    with whole_files() as beside:
        beside(first).write_text("new")
        assert beside(first) == beside(first)
        beside(second).write_text("new")
        assert first.read_text() == "old"
    assert first.read_text() == second.read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.txt", "deep"]


def test_what_cannot_be_written_together_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full") as caught, whole_files() as beside:
        beside(tmp_path / "a.txt")
        beside(tmp_path / "b.txt")
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.filename == str(tmp_path / "b.txt")


@pytest.mark.parametrize("kind", ["a link", "a named pipe"])
def test_the_lock_of_a_folder_is_neither_waited_for_nor_written_through(tmp_path: Path, kind: str) -> None:
    precious, lock = tmp_path / "precious.txt", tmp_path / ".out.lock"
    precious.write_text("precious")
    if kind == "a link":
        lock.symlink_to(precious)
    else:
        os.mkfifo(lock)
    with suppress(OSError), resumable_folder(tmp_path / "out", "key"):
        pass
    assert precious.read_text() == "precious"
