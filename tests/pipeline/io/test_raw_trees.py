"""Raw trees: their listings."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.io.raw_trees import sha256_of_listing


def test_a_listing_tells_what_came_went_or_changed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.txt").write_text("one")
    digests = [sha256_of_listing(tmp_path)]
    (tmp_path / "a/link").symlink_to(tmp_path / "nowhere")
    digests.append(sha256_of_listing(tmp_path))
    (tmp_path / "y.ZIP").write_text("z")
    digests.append(sha256_of_listing(tmp_path))
    (tmp_path / "y").mkdir()
    (tmp_path / "y/extracted.txt").write_text("z")
    assert sha256_of_listing(tmp_path) == digests[-1], "what an archive was extracted to says nothing new"
    os.utime(tmp_path / "a/x.txt", (1, 1))
    digests.append(sha256_of_listing(tmp_path))
    digests.append(sha256_of_listing(tmp_path / "y.ZIP"))
    (tmp_path / "y.ZIP").write_text("longer")
    digests.append(sha256_of_listing(tmp_path / "y.ZIP"))
    assert len(set(digests)) == len(digests)
    assert sha256_of_listing(tmp_path / "nowhere") == sha256_of_listing(tmp_path / "nowhere")
