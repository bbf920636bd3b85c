"""Remembered digests: the right ones whatever changed, and none read twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.io import known_digests
from pipeline.io.hashing import sha256_of
from pipeline.io.known_digests import MEMORY, KnownDigests


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_tells_what_came_went_or_changed() -> None:
    folder = Path("tree")
    (folder / "a").mkdir(parents=True)
    (folder / "a/x.txt").write_text("one")
    digests = [KnownDigests().of_folder(folder)]
    (folder / "a/link").symlink_to(folder / "nowhere")
    digests.append(KnownDigests().of_folder(folder))
    (folder / "y.ZIP").write_text("z")
    digests.append(KnownDigests().of_folder(folder))
    (folder / "y").mkdir()
    (folder / "y/extracted.txt").write_text("z")
    assert KnownDigests().of_folder(folder) == digests[-1], "what an archive was extracted to says nothing new"
    os.utime(folder / "a/x.txt", (1, 1))
    assert KnownDigests().of_folder(folder) == digests[-1], "a time is no content"
    (folder / "a/x.txt").write_text("two")
    digests.append(KnownDigests().of_folder(folder))
    digests.append(KnownDigests().of_folder(folder / "y.ZIP"))
    assert len(set(digests)) == len(digests)


def test_a_file_is_read_once_and_again_after_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(known_digests, "sha256_of", lambda path: read.append(path) or sha256_of(path))
    file = Path("file")
    file.write_text("one")
    first = KnownDigests()
    assert not first.remembers(file) and first.of_file(file) == sha256_of(file)
    first.save()
    second = KnownDigests()
    assert second.remembers(file) and second.of_file(file) == sha256_of(file) and len(read) == 1
    file.write_text("two")
    os.utime(file, (1, 1))  # of the same size
    assert second.of_file(file) == sha256_of(file) and len(read) == 2


def test_a_memory_that_cannot_be_read_costs_time_alone() -> None:
    MEMORY.parent.mkdir()
    MEMORY.write_text("no database")
    Path("file").write_text("one")
    digests = KnownDigests()
    assert digests.of_file(Path("file")) == sha256_of(Path("file"))
    digests.save()
