"""Archives are extracted once, completely, and only into their own folder."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sources.archives import MAX_RATIO, extract, find_archives, is_extracted, prepare_root
from pipeline.sources.synthetic.archive import zip_away


def pack(path: Path, files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, content)
    return path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_archive_is_extracted_once_into_its_own_folder(tmp_path: Path) -> None:
    pack(tmp_path / "release.zip", {"a/b.txt": b"1", "__MACOSX/a/._b.txt": b"2", "a/.DS_Store": b"3"})
    assert prepare_root(tmp_path) == tmp_path
    assert everything(tmp_path) == {"release.zip", "release/a/b.txt"}
    (tmp_path / "release/a/b.txt").write_text("changed by hand")
    prepare_root(tmp_path)
    assert (tmp_path / "release/a/b.txt").read_text() == "changed by hand"


def test_an_archive_that_was_extracted_by_hand_is_not_extracted(tmp_path: Path) -> None:
    pack(tmp_path / "download.zip", {"a/b.txt": b"1"})
    (tmp_path / "a").mkdir()
    assert not is_extracted(tmp_path / "download.zip")
    (tmp_path / "a/b.txt").write_bytes(b"1")
    assert is_extracted(tmp_path / "download.zip")
    prepare_root(tmp_path)
    assert not (tmp_path / "download").exists()


def test_an_archive_with_files_for_the_folder_of_another_is_extracted(tmp_path: Path) -> None:
    pack(tmp_path / "release.zip", {"seq_1/left.png": b"1"})
    pack(tmp_path / "types.zip", {"release/seq_1/types.png": b"2"})
    prepare_root(tmp_path)
    assert everything(tmp_path) >= {"release/seq_1/left.png", "types/release/seq_1/types.png"}


def test_archives_inside_archives_are_extracted_at_once(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"a.txt": b"1"}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    archive = pack(tmp_path / "outer.zip", {"b/inner.zip": inner})
    assert prepare_root(archive) == tmp_path / "outer"
    assert (tmp_path / "outer/b/inner/a.txt").read_bytes() == b"1"
    for depth in range(4):
        inner = pack(tmp_path / f"deep{depth}.zip", {f"x{depth}.zip": inner}).read_bytes()
        (tmp_path / f"deep{depth}.zip").unlink()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/d.zip").write_bytes(inner)
    with pytest.raises(InputError, match="archives are nested more than 3 deep"):
        prepare_root(tmp_path / "deep")


def test_partial_folders_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    pack(tmp_path / "release.zip", {"a.txt": b"1"})
    (tmp_path / ".release.4711.partial").mkdir()
    (tmp_path / ".release.4711.partial/half.txt").write_text("")
    prepare_root(tmp_path)
    assert everything(tmp_path) == {"release.zip", "release/a.txt"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_methods_without_a_size_limit_are_refused(tmp_path: Path, method: int) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.compress_type = method

    archive = pack(tmp_path / "x.zip", {"a.txt": bytes(1000)}, change)
    with pytest.raises(InputError, match="'a.txt' is compressed by an unusual method"):
        extract(archive, tmp_path / "out")


def test_a_root_may_be_an_archive(tmp_path: Path) -> None:
    archive = pack(tmp_path / "tree.zip", {"seq_1/x.png": b"1"})
    assert prepare_root(archive) == tmp_path / "tree"
    assert everything(tmp_path / "tree") == {"seq_1/x.png"}


def test_zipping_away_and_extracting_gives_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "r/deep").mkdir(parents=True)
    (tmp_path / "r/deep/x.bin").write_bytes(b"abc")
    first = zip_away(tmp_path / "r").read_bytes()
    prepare_root(tmp_path)
    assert (tmp_path / "r/r/deep/x.bin").read_bytes() == b"abc"
    (tmp_path / "r/r").rename(tmp_path / "again")
    (tmp_path / "again").rename(tmp_path / "r/r")
    assert zip_away(tmp_path / "r/r").read_bytes() == first


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:/e"]
)
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "in"
    inner.mkdir()
    pack(inner / "bad.zip", {"fine.txt": b"1", name: b"2"})
    with pytest.raises(
        InputError, match=r"bad.zip: the entry .* would be written outside the folder; nothing is extracted"
    ):
        prepare_root(inner)
    assert everything(tmp_path) == {"in/bad.zip"} | {f for f in everything(tmp_path) if f.endswith(".lock")}


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):

        def mark(info: zipfile.ZipInfo, kind: int = kind) -> None:
            info.external_attr = (kind | 0o777) << 16

        archive = pack(tmp_path / "link.zip", {"link": b"/etc/passwd"}, mark)
        with pytest.raises(InputError, match="'link' is not a regular file"):
            extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sizes_are_bounded(tmp_path: Path) -> None:
    archive = pack(tmp_path / "bomb.zip", {"zeros": bytes(50_000_000)})
    with zipfile.ZipFile(archive) as opened:
        info = opened.infolist()[0]
    assert info.file_size > MAX_RATIO * info.compress_size, "more than any picture gives"
    with pytest.raises(
        InputError, match=r"'zeros' declares 50,000,000 bytes from [\d,]+ compressed ones; nothing is extracted"
    ):
        extract(archive, tmp_path / "out")


def test_an_entry_larger_than_declared_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "liar.zip", {"a.txt": b"0123456789" * 100})
    content = bytearray(archive.read_bytes())
    where = content.rindex(b"PK\x01\x02")
    content[where + 24 : where + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(InputError, match=r"liar.zip: the entry 'a.txt' is (damaged|larger than the archive declares)"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    archive = pack(tmp_path / "many.zip", {"a.txt": b"1"})
    content = bytearray(archive.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = (3_000_000_000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(InputError, match="many.zip: its list of files has 3,000,000,000 bytes; expected at most"):
        prepare_root(tmp_path)


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "case.zip", {"a.txt": b"1", "A.TXT": b"2"})
    with pytest.raises(InputError, match="'A.TXT' is the same as 'a.txt'"):
        extract(archive, tmp_path / "out")


def test_encrypted_empty_and_damaged_archives_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", {"a.txt": b"1" * 1000})
    whole = archive.read_bytes()
    encrypted = bytearray(whole)
    encrypted[whole.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(encrypted)
    with pytest.raises(InputError, match="is encrypted; extract it by hand"):
        extract(archive, tmp_path / "out")
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x.zip: not a readable .zip .*Download it again"):
        prepare_root(tmp_path)
    with pytest.raises(InputError, match="contains no file"):
        extract(pack(tmp_path / "e.zip", {}), tmp_path / "out")


@settings(max_examples=80, deadline=None)
@example(b"\0\0\0\0\1\0\0\2\0", 139, b"\0")  # a name that begins with a zero is none
@given(st.binary(max_size=300), st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_every_archive_is_extracted_or_refused(content: bytes, where: int, noise: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "in"
        inner.mkdir()
        archive = pack(inner / "a.zip", {"x/y.bin": content, "z.txt": b"hello" * 40})
        data = bytearray(archive.read_bytes())
        data[where % len(data) : where % len(data) + len(noise)] = noise
        archive.write_bytes(data)
        try:
            prepare_root(inner)
        except InputError as error:
            assert "a.zip" in str(error)
        outside = [path for path in Path(folder).rglob("*") if inner not in path.parents and path != inner]
        assert not outside and find_archives(inner)[0] == archive
