"""Finding pictures and writing: what is found and how it is named, and that what is written comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corruptions import CorruptionError
from corruptions.command.files import encode_png, find_pictures, write_whole
from corruptions.pictures import read_image, read_mask

RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
IDS = np.random.default_rng(1).integers(0, 5, (48, 64), np.uint8)


@pytest.mark.parametrize("pixels", [RGB, IDS, np.zeros_like(RGB)])
def test_what_is_written_comes_back(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "deep" / "a.png"
    write_whole(path, encode_png(pixels), tmp_path)
    np.testing.assert_array_equal(read_image(path) if pixels.ndim == 3 else read_mask(path), pixels)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.png"]


def test_pictures_are_found_at_any_depth_and_named(tmp_path: Path) -> None:
    for name in ("b.PNG", "v1/a.x.jpeg", ".hidden/c.png", "__MACOSX/d.png", "v1/._a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "v1" / "round").symlink_to(tmp_path)
    assert [picture.image_id for picture in find_pictures(tmp_path)] == ["b", "v1/a.x"]


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("v/a.png", "V/A.png")])
def test_two_pictures_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(CorruptionError, match="would get the same name"):
        find_pictures(tmp_path)
